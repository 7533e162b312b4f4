# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The corpus checked by independent judges, without the tool: tracemalloc, the collector, getallocatedblocks."""

import pytest

pytestmark = pytest.mark.sampled

ROUNDS = 300

# memory that is no object, and the type that owns it
OWNER = {"list items": "list", "dict keys": "dict", "dict values": None, "set table": "set",
         "deque block": "collections.deque", "bytearray buffer": "bytearray", "(buffer)": None}


def test_leaks_what_it_says(leak_case, interpreter, start):
    target = start(interpreter, leak_case.path)
    done = target.command("round %d" % ROUNDS)
    grown = done["blocks_after"] - done["blocks_before"]
    if leak_case.objects is not None and leak_case.kind != "PyMem_RawMalloc":
        assert grown >= leak_case.objects * ROUNDS
    left = target.command("free")["blocks_after"] - done["blocks_before"]
    if leak_case.free:
        # free lists and caches of the interpreter, and what asyncio keeps, may stay
        assert left <= max(64, 0.1 * grown), "%d of %d blocks stay after free" % (left, grown)
    else:
        assert left >= ROUNDS

    oracle = target.command("oracle %d" % ROUNDS)
    size, count, file, line = oracle["lines"][0]
    assert (file, line) == (leak_case.file, leak_case.line), oracle["lines"]
    assert size >= 1.5 * oracle["lines"][1][0], "the leak does not dominate: %s" % oracle["lines"][:2]
    if leak_case.objects is not None:
        assert count >= leak_case.objects * ROUNDS * 0.99, oracle["lines"]

    types = {name: (objects, size) for size, objects, name in oracle["types"]}
    expected = OWNER.get(leak_case.types[0], leak_case.types[0])
    if expected:
        assert oracle["types"][0][2] == expected, oracle["types"]
        if leak_case.objects is not None and leak_case.types[0] not in OWNER:
            extra = types[expected][0] - leak_case.objects * ROUNDS
            assert 0 <= extra <= 100, oracle["types"]


def test_healthy_keeps_nothing(healthy_case, interpreter, start):
    target = start(interpreter, healthy_case.path)
    target.command("round 600")
    first = target.command("free")["blocks_after"]
    target.command("round 600")
    second = target.command("free")["blocks_after"]
    assert abs(second - first) <= 300, "%d blocks of 600 rounds stay" % (second - first)
