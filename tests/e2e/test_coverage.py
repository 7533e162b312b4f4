# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing is missed: what the tool counts is what sys.getallocatedblocks() says, on every interpreter."""
import os

import pymalloc27
import pytest

from process import CORPUS, Tracer, lossless

# blocks the protocol itself has in hand between two marks: its command, its answer, a timestamp
SLACK = 12
FREE_LISTS = 160  # 80 dicts and 80 lists

PROGRAMS = ["leaks/comprehension.py", "leaks/classes.py", "leaks/bytearrays_kept.py", "leaks/big_blocks.py",
            "healthy/churn.py"]


# on 2.7 only what pymalloc gives out itself can be counted: up to 512 bytes
SMALL = ("comprehension.py", "bytearrays_kept.py", "churn.py", "dicts_kept.py", "list_of_ints.py")


def counted(tracer):
    return tracer.fresh()["outstanding"]["pymalloc_objects"]


def marked(target):
    """The target's own count; between two of them it must be idle."""
    blocks = target.command("mark")["blocks"]
    return pymalloc27.blocks(target.pid) if blocks is None else blocks


def countable(interpreter, program):
    if interpreter.version < (3,) and os.path.basename(program) not in SMALL:
        pytest.skip("2.7 does not count large blocks")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: os.path.basename(path)[:-3])
def test_growth_is_seen(program, interpreter, bpf, start):
    countable(interpreter, program)
    target = start(interpreter, os.path.join(CORPUS, program))
    tracer = Tracer.json(target)
    # what the protocol makes on first use and keeps comes after the reading it answers with: not between the two that count
    target.command("mark")
    target.command("round 5")
    blocks = marked(target)
    if blocks is None:
        pytest.skip("its library is stripped: pymalloc's arenas are not found")
    outstanding = counted(tracer)
    target.command("round 400")
    grown = marked(target) - blocks
    seen = counted(tracer) - outstanding
    # in both directions: a free that is missed is as wrong as an allocation
    assert abs(seen - grown) <= max(SLACK, 0.01 * abs(grown)), "%d blocks seen, %d there" % (seen, grown)
    lossless(tracer.stop())


@pytest.mark.parametrize("program", ["leaks/comprehension.py", "leaks/dicts_kept.py", "leaks/exceptions.py",
                                     "leaks/pymem_raw_malloc.py", "leaks/list_of_ints.py"],
                         ids=lambda path: os.path.basename(path)[:-3])
def test_all_freed_is_nothing_outstanding(program, interpreter, bpf, start):
    if interpreter.version < (3,) and program == "leaks/exceptions.py" or "raw" in program and interpreter.version < (3,):
        pytest.skip("2.7 has no such leak")
    target = start(interpreter, os.path.join(CORPUS, program))
    tracer = Tracer.json(target)
    before = marked(target)
    idle = tracer.fresh()["outstanding"]["objects"]
    target.command("round 1000")
    full = tracer.fresh()["outstanding"]["objects"]
    after = target.command("free")["blocks_after"]
    after = pymalloc27.blocks(target.pid) if after is None else after
    left = tracer.stop()
    lossless(left)
    residue = left["outstanding"]["objects"] - idle
    explained = max(0, after - before)
    # 2.7: blocks from before the attach may have left a free list, and others taken their places there
    slack = SLACK if interpreter.version >= (3,) else SLACK + FREE_LISTS
    assert residue <= explained + slack, "%d stay, the target knows of %d; there were %d" % (residue, explained, full)
    leaks = [row for row in left["growers"] if row["stack"] and row["stack"][0]["file"] == target.program
             and row["objects"] > slack]
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
