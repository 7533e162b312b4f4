# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory that is no object, each kind from a line of its own; "make" answers [[line, use, blocks], ...]."""
import collections
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

COUNT = 300
WIDE = tuple(range(40))
NAMES = {"k%d" % n: n for n in range(20)}
MIXED = {n: n for n in range(20)}
ROW = list(WIDE)


class Plain:
    def __init__(self):
        self.a = self.b = self.c = self.d = self.e = self.f = 1


class SubList(list):
    __slots__ = ()


class SubSet(set):
    __slots__ = ()


# 3.13 keeps up to 30 attributes inside the object
VALUES = [] if sys.version_info >= (3, 13) else [("dict values", lambda: Plain())]
MAKERS = [
    ("list items", lambda: [None] * 40),
    ("list items", lambda: list(WIDE)),
    ("list items", lambda: ROW[1:]),
    ("list items", lambda: SubList(WIDE)),
    ("list items", lambda: sorted(WIDE)),
    ("dict keys", lambda: NAMES.copy()),
    ("dict keys", lambda: MIXED.copy()),
    ("dict keys", lambda: {n: n for n in WIDE}),
    ("dict keys", lambda: dict(MIXED)),
    ("set table", lambda: set(WIDE)),
    ("set table", lambda: frozenset(WIDE)),
    ("set table", lambda: SubSet(WIDE)),
    ("set table", lambda: {n for n in WIDE}),
    ("deque block", lambda: collections.deque()),
    ("bytearray buffer", lambda: bytearray(300)),
    ("bytearray buffer", lambda: bytearray(b"x" * 700)),
] + VALUES
KEEP = []


def leak():
    for _, maker in MAKERS:
        KEEP.append(maker())


def make():
    answer = []
    kept = []
    for use, maker in MAKERS:
        for _ in range(COUNT):
            kept.append(maker())
        answer.append([maker.__code__.co_firstlineno, use, COUNT])
    KEEP.append(kept)
    return {"made": answer}


harness.serve(leak, KEEP.clear, warm=20, commands={"make": make})
