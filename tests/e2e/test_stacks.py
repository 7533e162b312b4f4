# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The stacks the tool reports are those the interpreter saw itself when the allocation was made."""
import os

from process import HERE, Tracer, lossless

PROGRAM = os.path.join(HERE, "programs", "stacks.py")


def described(stack):
    return "\n      ".join("%s:%s %s" % tuple(frame) for frame in stack[:8])


# at the end of a stack that has more callers
CUT = (("...", 0, "said to be cut"),)

# their code object is gone before the object they made: that it is unknown may be said, another name may not
GONE = {"exec_text", "imported"}


def forgiven(found, wanted):
    """FOUND with each stack that has unknown frames counted to the one that it agrees with otherwise."""
    folded = {}
    for stack, count in found.items():
        if any(frame[0] is None for frame in stack):
            fitting = [full for full in wanted if len(full) == len(stack) and
                       all(a == b or a == (None, None, None) for a, b in zip(stack, full))]
            stack = fitting[0] if fitting else stack
        folded[stack] = folded.get(stack, 0) + count
    return folded


def compare(expected, snapshot, depth):
    """A line for each scenario whose stacks or amounts differ."""
    seen = {}
    for row in snapshot["growers"]:
        if (row["type"] or "").startswith("scenario."):  # unknown: its type is gone already
            stack = tuple((frame["file"], frame["line"], frame["function"]) for frame in row["stack"])
            stack += CUT if row.get("stack_truncated") else ()
            held = seen.setdefault(row["type"][len("scenario."):], {})
            held[stack] = held.get(stack, 0) + row["objects"]
    wrong = []
    for name, stacks in sorted(expected.items()):
        wanted = {}
        for stack, count in stacks:
            key = tuple(map(tuple, stack[:depth])) + (CUT if len(stack) > depth else ())
            wanted[key] = wanted.get(key, 0) + count
        found = seen.pop(name, {})
        if name in GONE:
            found = forgiven(found, wanted)
        if found == wanted:
            continue
        wrong.append(name)
        for stack, count in wanted.items():
            if found.get(stack) != count:
                wrong.append("  is    %s x\n      %s" % (count, described(stack)))
        for stack, count in found.items():
            if wanted.get(stack) != count:
                wrong.append("  shown %s x\n      %s" % (count, described(stack)))
    return wrong + ["nobody made " + name for name in seen]


def record(target, tracer):
    answer = target.command("scenario", timeout=120)
    assert not answer["failed"], answer["failed"]
    assert len(answer["stacks"]) >= 65
    final = tracer.stop()
    lossless(final)
    return answer["stacks"], final


def check_stacks(start, interpreter, *options, depth=64, env=None):
    target = start(interpreter, PROGRAM, env=env)
    tracer = Tracer.json(target, "-n", 5000, *options)
    expected, final = record(target, tracer)
    wrong = compare(expected, final, depth)
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_record_is_right(interpreter, start):
    """What the program writes down, judged by tracemalloc (which names no functions)."""
    answer = start(interpreter, PROGRAM).command("judge", timeout=120)
    assert not answer["failed"], answer["failed"]
    wrong = []
    for name, stacks in answer["stacks"].items():
        wanted, found = {}, {}
        for stack, count in stacks:
            key = tuple((file, line) for file, line, _ in stack[:64])
            wanted[key] = wanted.get(key, 0) + count
        for stack, count in answer["judged"].get(name, []):
            found[tuple(map(tuple, stack))] = count
        if wanted != found:
            wrong.append((name, [key[:3] for key in wanted], [key[:3] for key in found]))
    assert not wrong, wrong


def test_stacks_are_the_interpreters_own(interpreter, bpf, start):
    check_stacks(start, interpreter)


def test_depth_cuts_the_outer_end(debian, bpf, start):
    check_stacks(start, debian, "--depth", 5, depth=5)


def test_code_that_died_is_stale_not_another(interpreter, bpf, start):
    """Code objects freed while their allocations stay, and others made at the same address."""
    target = start(interpreter, os.path.join(HERE, "programs", "dying_code.py"))
    tracer = Tracer.json(target, "-n", 5000)
    target.command("round 200")
    final = tracer.stop()
    lossless(final)
    objects = 0
    for row in final["growers"]:
        if not row["type"].startswith("kept.Number"):
            continue
        number = int(row["type"][len("kept.Number"):])
        frame = row["stack"][0]
        objects += row["objects"]
        # the truth, or said to be unknown: never the name of another
        assert (frame["file"], frame["line"], frame["function"]) in (
            ("<dying %d>" % number, 2, "made_%d" % number), (None, None, None)), row
    assert objects == 200
