# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Allocates without a pause, and keeps one object in some thousand. What it keeps is the argument:

one     one line
two     the same type from two lines, three times as often from one of them as from the other
fork    "fork N": N children that each keep a type of their own; "end": they end and say how many each has kept
"""
import collections
import json
import os
import select
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402


class Kept(object):
    __slots__ = harness.slots(6)


class Passing(object):
    """Of the same size: where one was is soon a Kept."""
    __slots__ = harness.slots(6)


KEPT = []
RECENT = collections.deque(maxlen=500)
CHILDREN = []
TYPES = [type("Kept%d" % number, (object,), {"__slots__": harness.slots(6)}) for number in range(4)]


def churn():
    """Some thousand allocations. Of all that is made here no more stays than RECENT holds."""
    for number in range(250):
        each = Passing()
        each.field0 = [number + 1000.5, (each, number)]
    RECENT.append(each)
    each.field0 = None


def keep_one():
    KEPT.append(Kept())  # one


def keep_often():
    KEPT.append(Kept())  # often


def keep_seldom():
    KEPT.append(Kept())  # seldom


def one():
    churn()
    keep_one()


def two():
    for _ in range(3):
        churn()
        keep_often()
    churn()
    keep_seldom()


def child(kind, commands, answers):
    poll = select.poll()
    poll.register(commands, select.POLLIN)
    count = 0
    while count % 100 or not poll.poll(0):
        churn()
        KEPT.append(kind())  # own
        count += 1
    os.read(commands, 1)
    os.write(answers, json.dumps(count).encode())
    os.read(commands, 1)
    os._exit(0)


def fork(count):
    for number in range(int(count)):
        there, back = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            for ours in [0, there[1]] + [commands for _, commands, _ in CHILDREN]:
                os.close(ours)  # else it never hears that its parent is gone
            child(TYPES[number], there[0], back[1])
        CHILDREN.append((pid, there[1], back[0]))
    return {"pids": [pid for pid, _, _ in CHILDREN]}


def end():
    """They stop, but are still there."""
    kept = []
    for _, commands, answers in CHILDREN:
        os.write(commands, b".")
        kept.append(json.loads(os.read(answers, 100).decode()))
    return {"kept": kept}


harness.serve({"one": one, "two": two, "fork": one}[sys.argv[1]], harness.emptying(KEPT), churn=None, commands={"fork": fork, "end": end})
