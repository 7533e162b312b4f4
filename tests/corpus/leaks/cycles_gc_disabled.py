# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reference cycles in a program that switched the collector off."""
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "garbage",
    "kind": "cycles with gc.disable()",
    "line_marker": "# LEAK",
    "function": "build",
    "types": ["__main__.Node"],
    "per_round": {"objects": 2},
}

gc.disable()


class Node(object):
    __slots__ = ("peer",) + harness.slots(11)


def build():
    left, right = Node(), Node()  # LEAK
    left.peer = right
    right.peer = left


harness.serve(build, gc.collect)
