# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cycles that are in use while the collector looks at the young generations twice; then they are dropped, or kept, as the argument says. What there is
beside them is so much that a full collection does not come for long.
"""
import gc
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402


class Node(object):
    __slots__ = ("peer",) + harness.slots(6)


LONG_LIVED = [[number] for number in range(100000)]
KEPT = []


def request():
    nodes = []
    for _ in range(30):
        left, right = Node(), Node()
        left.peer, right.peer = right, left
        nodes.append(left)
    gc.collect(0)
    gc.collect(1)
    if sys.argv[1] == "kept":
        KEPT.extend(nodes)


gc.collect()
harness.serve(request, harness.emptying(KEPT))
