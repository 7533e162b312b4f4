# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attach and detach again and again: quick, and the target is afterwards what it was before."""
import os
import statistics
import subprocess
import time

import pytest

from memory import becomes, code, status_kb, threads
from process import CORPUS, ROOT, Tracer

ROUNDS = int(os.environ.get("PYLEAK_ROUNDS", "30"))
PROBE_ROUNDS = int(os.environ.get("PYLEAK_PROBE_ROUNDS", "60"))
START_TIMES = 40  # a second, where Python starts in 25 ms
PROBES = os.environ.get("PYLEAK_PROBES", os.path.join(ROOT, "build", "tests", "bench", "probes"))


@pytest.mark.xdist_group("timing")
def test_rounds_leave_nothing(interpreter, bpf, start):
    rounds = ROUNDS if interpreter.origin == "debian" or "PYLEAK_ROUNDS" in os.environ else max(3, ROUNDS // 6)
    target = start(interpreter, os.path.join(CORPUS, "healthy", "churn.py"))
    tables = target.command("tables")
    tables.pop("gc_count"), tables.pop("gc_collections", None)
    text = code(target.pid)
    tasks = threads(target.pid)
    # the first attach may make the kernel's page of probe slots
    Tracer.json(target).stop()
    memory = status_kb(target.pid, "VmRSS")
    target.send("run 100000 50")
    attach, detach, other = [], [], []
    for _ in range(rounds):
        began = time.monotonic()
        tracer = Tracer("--json", "-i", 1, "--mode", "exact", target=target, check=False)
        tracer.attached()
        attach.append(time.monotonic() - began)
        began = time.monotonic()
        final = tracer.stop()
        detach.append(time.monotonic() - began)
        began = time.monotonic()
        subprocess.run([interpreter.path, "-c", ""], check=True)
        other.append(time.monotonic() - began)
        assert final["processes"][0]["coverage"] == "full", final["processes"]
        assert target.alive()
    target.send("stop")
    target.answer()
    again = target.command("tables")
    again.pop("gc_count"), again.pop("gc_collections", None)
    assert again == tables
    assert becomes(lambda: code(target.pid), text) == text
    assert threads(target.pid) == tasks
    assert status_kb(target.pid, "VmRSS") <= memory + 4096
    target.check_alive()
    attach, detach, other = map(statistics.median, (attach, detach, other))
    print("%d rounds: attach %.3f s, detach %.3f s (medians); python -c '': %.3f s" % (rounds, attach, detach, other))
    # a second; on a busy machine, as many times longer as everything else
    assert max(attach, detach) < max(1, START_TIMES * other), (attach, detach, other)


@pytest.mark.xdist_group("timing")
def test_rounds_by_the_thousand(debian, bpf, start):
    """Probes and tables alone, without loading the programs anew each time; `make check-rounds` does 10,000."""
    target = start(debian, os.path.join(CORPUS, "healthy", "churn.py"))
    tables = target.command("tables")
    text = code(target.pid)
    target.send("run 100000 50")
    done = subprocess.run([PROBES, str(target.pid), "rounds", str(PROBE_ROUNDS)], stderr=subprocess.PIPE,
                          timeout=60 + PROBE_ROUNDS)
    assert done.returncode == 0, done.stderr
    target.send("stop")
    target.answer()
    again = target.command("tables")
    for domain in ("raw", "mem", "obj"):
        assert again[domain] == tables[domain]
    assert becomes(lambda: code(target.pid), text) == text
    target.check_alive()


def test_read_only_writes_nothing(interpreter, bpf, start):
    """--read-only: the allocator tables are the same while it traces; what is then not seen is said."""
    target = start(interpreter, os.path.join(CORPUS, "leaks", "bytes_kept.py"))
    tables = target.command("tables")
    tracer = Tracer.json(target, "--read-only")
    during = target.command("tables")
    for domain in ("raw", "mem", "obj"):
        assert during.get(domain) == tables.get(domain)
    target.command("round 500")
    final = tracer.stop()
    process = final["processes"][0]
    assert process["coverage"] in ("full", "partial")
    if process["coverage"] == "partial":
        assert process["coverage_note"]


def test_two_tracers_at_once(debian, bpf, start):
    """The second works beside the first, or refuses with a sentence; it must not harm either of them."""
    target = start(debian, os.path.join(CORPUS, "leaks", "bytes_kept.py"))
    tables = target.command("tables")
    text = code(target.pid)
    first = Tracer.json(target)
    second = Tracer("--json", "-i", 1, "--mode", "exact", target=target, check=False)
    try:
        second.attached()
        refused = False
    except AssertionError:
        refused = True
        assert second.process.returncode in (3, 4) and second.err.text().startswith("pyleak-bpf:"), second.err.text()
    target.command("round 500")
    if not refused:
        second.stop()
    final = first.stop()
    rows = [row for row in final["growers"] if row["type"] == "bytes" and row["objects"] == 500]
    assert rows, final["growers"][:3]
    again = target.command("tables")
    for domain in ("raw", "mem", "obj"):
        assert again[domain] == tables[domain]
    assert becomes(lambda: code(target.pid), text) == text
