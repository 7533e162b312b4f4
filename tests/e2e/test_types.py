# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every object has the name that type(x) has; memory that is no object has that of its use."""
import os

from process import HERE, Tracer, lossless


def by_line(snapshot, program):
    """{line: {type: objects}}, over every frame of the stack that is in PROGRAM."""
    found = {}
    for row in snapshot["growers"]:
        for line in {frame["line"] for frame in row["stack"] if frame["file"] == program}:
            types = found.setdefault(line, {})
            types[row["type"]] = types.get(row["type"], 0) + row["objects"]
    return found


def test_objects(interpreter, bpf, start):
    program = os.path.join(HERE, "programs", "every_type.py")
    target = start(interpreter, program)
    tracer = Tracer.json(target, "-n", 5000)
    made = target.command("make")["made"]
    final = tracer.stop()
    lossless(final)
    found = by_line(final, program)
    wrong = []
    for line, name, objects, exact in made:
        seen = found.get(line, {})
        # a free list gives some without an allocation, and keeps some that were freed
        enough = seen.get(name, 0) == objects if exact else seen.get(name, 0) <= objects + 100
        if not enough:
            wrong.append("line %d: %d %s expected; %s" % (line, objects, name, seen))
    assert not wrong, "\n" + "\n".join(wrong)


def test_buffers(interpreter, bpf, start):
    program = os.path.join(HERE, "programs", "buffers.py")
    target = start(interpreter, program)
    tracer = Tracer.json(target, "-n", 5000)
    made = target.command("make")["made"]
    final = tracer.stop()
    lossless(final)
    found = by_line(final, program)
    wrong = []
    for line, use, blocks in made:
        # before 3.11 up to 16 blocks of dead deques wait in a free list (Modules/_collectionsmodule.c, MAXFREEBLOCKS)
        spare = 16 if use == "deque block" and interpreter.version < (3, 11) else 0
        # and a free list of small key tables stays behind where a dict grew out of them
        kept = 80 if use == "dict keys" else 0
        if not blocks - spare <= found.get(line, {}).get(use, 0) <= blocks + kept:
            wrong.append("line %d: %d %s expected; %s" % (line, blocks, use, found.get(line)))
    assert not wrong, "\n" + "\n".join(wrong)


def test_group_by(debian, bpf, start):
    """One row per type, or per line: the same objects, added up."""
    program = os.path.join(HERE, "programs", "every_type.py")
    for group in ("type", "line", "function", "process", "app"):
        target = start(debian, program)
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
