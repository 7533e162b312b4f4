# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every object has the name that type(x) has; memory that is no object has that of its use."""
import os

from process import HERE, Tracer, lossless


TYPES = os.path.join(HERE, "programs", "every_type.py")
BUFFERS = os.path.join(HERE, "programs", "buffers.py")


def trace_made(start, interpreter, program, env=None):
    """(last snapshot, what the program says it made while it was traced)"""
    target = start(interpreter, program, env=env)
    tracer = Tracer.json(target, "-n", 5000)
    made = target.command("make")["made"]
    final = tracer.stop()
    lossless(final)
    return final, made


def check_types(start, interpreter, env=None, counts=lambda each: True):
    final, made = trace_made(start, interpreter, TYPES, env)
    wrong = wrong_types(final, TYPES, [each for each in made if counts(each)])
    assert not wrong, "\n" + "\n".join(wrong)


def check_buffers(start, interpreter, env=None, spare=None):
    final, made = trace_made(start, interpreter, BUFFERS, env)
    wrong = wrong_uses(final, BUFFERS, made, spare)
    assert not wrong, "\n" + "\n".join(wrong)


def by_line(snapshot, program):
    """{line: {type: objects}}, over every frame of the stack that is in PROGRAM."""
    found = {}
    for row in snapshot["growers"]:
        for line in {frame["line"] for frame in row["stack"] if frame["file"] == program}:
            types = found.setdefault(line, {})
            types[row["type"]] = types.get(row["type"], 0) + row["objects"]
    return found


def wrong_types(snapshot, program, made):
    """Where the types on PROGRAM's lines are not those of MADE (line, type, objects, whether exactly): a sentence each."""
    found = by_line(snapshot, program)
    wrong = []
    for line, name, objects, exact in made:
        seen = found.get(line, {})
        # a free list gives some without an allocation, and keeps some that were freed
        enough = seen.get(name, 0) == objects if exact else seen.get(name, 0) <= objects + 100
        if not enough:
            wrong.append("line %d: %d %s expected; %s" % (line, objects, name, seen))
    return wrong


def wrong_uses(snapshot, program, made, spare=None):
    """The same for memory that is no object: MADE (line, use, blocks); SPARE: how many of a use may be missing."""
    found = by_line(snapshot, program)
    wrong = []
    for line, use, blocks in made:
        # a free list of small key tables stays behind where a dict grew out of them
        kept = 80 if use == "dict keys" else 0
        if not blocks - (spare or {}).get(use, 0) <= found.get(line, {}).get(use, 0) <= blocks + kept:
            wrong.append("line %d: %d %s expected; %s" % (line, blocks, use, found.get(line)))
    return wrong


def test_objects(interpreter, bpf, start):
    check_types(start, interpreter)


def test_buffers(interpreter, bpf, start):
    # before 3.11 up to 16 blocks of dead deques wait in a free list (Modules/_collectionsmodule.c, MAXFREEBLOCKS)
    check_buffers(start, interpreter, spare={"deque block": 16} if interpreter.version < (3, 11) else None)


def test_group_by(debian, bpf, start):
    """One row per type, or per line: the same objects, added up."""
    for group in ("type", "line", "function", "process", "app"):
        target = start(debian, TYPES)
        tracer = Tracer.json(target, "-n", 5000, "--group-by", group)
        target.command("round 300")
        final = tracer.stop()
        rows = final["growers"]
        assert rows
        # 1 % for what is neither in a row of its own nor lost
        assert sum(row["objects"] for row in rows) >= 0.99 * final["outstanding"]["objects"]
        if group == "type":
            names = [row["type"] for row in rows]
            assert len(names) == len(set(names))
            moved = [row for row in rows if row["type"] == "some.where.else.Moved"]
            assert moved and moved[0]["objects"] == 300
        elif group == "process":
            assert len(rows) == 1
        target.close()
