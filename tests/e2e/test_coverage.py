# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing is missed: what the tool counts is what sys.getallocatedblocks() says, on every interpreter."""
import os

import pytest

from process import CORPUS, Tracer, lossless

# blocks the protocol itself has in hand between two marks: its command, its answer, a timestamp
SLACK = 12

PROGRAMS = ["leaks/comprehension.py", "leaks/classes.py", "leaks/bytearrays_kept.py", "leaks/big_blocks.py",
            "healthy/churn.py"]


def counted(tracer):
    return tracer.fresh()["outstanding"]["pymalloc_objects"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: os.path.basename(path)[:-3])
def test_growth_is_seen(program, interpreter, bpf, start):
    target = start(interpreter, os.path.join(CORPUS, program))
    tracer = Tracer.json(target)
    # what the protocol makes on first use and keeps comes after the reading it answers with: not between the two that count
    target.command("mark")
    target.command("round 5")
    blocks = target.command("mark")["blocks"]
    outstanding = counted(tracer)
    target.command("round 400")
    grown = target.command("mark")["blocks"] - blocks
    seen = counted(tracer) - outstanding
    # in both directions: a free that is missed is as wrong as an allocation
    assert abs(seen - grown) <= max(SLACK, 0.01 * abs(grown)), "%d blocks seen, %d there" % (seen, grown)
    lossless(tracer.stop())


@pytest.mark.parametrize("program", ["leaks/comprehension.py", "leaks/dicts_kept.py", "leaks/exceptions.py",
                                     "leaks/pymem_raw_malloc.py", "leaks/list_of_ints.py"],
                         ids=lambda path: os.path.basename(path)[:-3])
def test_all_freed_is_nothing_outstanding(program, interpreter, bpf, start):
    target = start(interpreter, os.path.join(CORPUS, program))
    tracer = Tracer.json(target)
    before = target.command("mark")["blocks"]
    idle = tracer.fresh()["outstanding"]["objects"]
    target.command("round 1000")
    full = tracer.fresh()["outstanding"]["objects"]
    after = target.command("free")["blocks_after"]
    left = tracer.stop()
    lossless(left)
    residue = left["outstanding"]["objects"] - idle
    explained = max(0, after - before)
    assert residue <= explained + SLACK, "%d stay, the target knows of %d; there were %d" % (residue, explained, full)
    leaks = [row for row in left["growers"] if row["stack"] and row["stack"][0]["file"] == target.program
             and row["objects"] > SLACK]
    assert not leaks, leaks


def test_large_blocks_and_arenas_count_once(interpreter, bpf, start):
    """300 blocks of 200,033 bytes go through pymalloc to malloc; ten thousand small ones fill arenas."""
    target = start(interpreter, os.path.join(CORPUS, "leaks", "big_blocks.py"))
    tracer = Tracer.json(target)
    before = tracer.fresh()["outstanding"]
    target.command("round 300")
    grown = tracer.fresh()["outstanding"]["bytes"] - before["bytes"]
    assert 300 * 200033 <= grown <= 300 * 200033 * 1.001 + 100000
    tracer.stop()

    target = start(interpreter, os.path.join(CORPUS, "leaks", "bytes_kept.py"))
    tracer = Tracer.json(target)
    before = tracer.fresh()["outstanding"]
    target.command("round 10000")
    grown = tracer.fresh()["outstanding"]["bytes"] - before["bytes"]
    list_items = 10000 * 8 * 1.2
    assert 10000 * 433 <= grown <= 10000 * 448 + list_items + 10000
    tracer.stop()
