# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What only 2.7 has: memory straight from libc, classic classes, no counts of the collector. Exact figures, as elsewhere."""
import json
import os
import re
import subprocess

import interpreters
import pytest
import schema
from process import HERE, PATIENCE, Tracer, lossless

FOUND = [found for found in interpreters.find() if found.version[:2] == (2, 7)]

PROGRAM = os.path.join(HERE, "programs", "python27.py")
ROUNDS = 3000


@pytest.fixture
def python27(bpf):
    if not FOUND or FOUND[0].missing:
        pytest.skip(FOUND[0].missing if FOUND else "pyenv is not installed")
    return FOUND[0]


def test_each_kind_of_memory_is_seen(bpf, python27, start):
    target = start(python27, PROGRAM)
    tracer = Tracer.json(target, "-n", 500)
    target.command("round %d" % ROUNDS)
    final = tracer.stop()
    lossless(final)
    found = {}
    for row in final["growers"]:
        if row["stack"] and row["stack"][0]["file"] == PROGRAM:
            key = (row["stack"][0]["line"], row["type"])
            found[key] = found.get(key, 0) + row["objects"]
    with open(PROGRAM) as source:
        marked = {line.split("  # ")[1].strip(): number for number, line in enumerate(source, 1) if "KEPT.append(" in line}
    assert len(marked) == 8
    for mark, line in marked.items():
        kind = mark.split(" beyond")[0]
        if kind == "unicode":
            # up to 1024 of them come from a free list (PyUnicode_MAXFREELIST), and keep the line of its block
            everywhere = sum(row["objects"] for row in final["growers"] if row["type"] == kind)
            assert ROUNDS - 1024 <= everywhere <= ROUNDS + 1024
            continue
        # the list itself grows on one of these lines
        assert ROUNDS <= found.get((line, kind), 0) <= ROUNDS + 1, (mark, found)


def test_what_is_not_known_is_null(bpf, python27, start):
    target = start(python27, PROGRAM)
    tracer = Tracer.json(target)
    target.command("round 50")
    final = tracer.stop()
    described = json.loads(subprocess.run([bpf, "--json-schema"], stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode())
    assert not list(schema.errors(final, described))
    process, = final["processes"]
    assert process["gc"] is None and process["coverage"] == "full"
    assert re.match(r"2\.7\.\d+$", process["python"])
