# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cycles that the collector finds by itself, some dozen at a time."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "cycles collected",
    "healthy": True,
    "seconds": 12,
}

class Node(object):
    pass


def request():
    for _ in range(30):
        left, right = Node(), Node()
        left.peer = right
        right.peer = left


def drop():
    pass


# 2.7: dicts that json made with dict() come back from the free list as those of nodes, more and more of them for a minute
CHURN = harness.small_churn if sys.version_info >= (3,) else None

harness.serve(request, drop, CHURN, warm=400)
