# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cycles that gc.freeze() moves out of the collector's sight, again and again."""
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "garbage",
    "since": "3.7",
    "kind": "cycles with gc.freeze()",
    "line_marker": "# LEAK",
    "function": "build",
    "types": ["__main__.Node"],
    "per_round": {"objects": 2},
}

class Node(object):
    __slots__ = ("peer",) + harness.slots(11)


def build():
    left, right = Node(), Node()  # LEAK
    left.peer = right
    right.peer = left
    gc.freeze()


def drop():
    gc.unfreeze()
    gc.collect()


harness.serve(build, drop)
