# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Of a class that another line makes 300 times as many of, and drops: one instance like all others stays."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "KEPT[*]",
    "kind": "needle in heavy churn",
    "line_marker": "# LEAK",
    "function": "handle",
    "types": ["__main__.Entry"],
    "per_round": {"objects": 1},
    "rate": 20,
    "at_once": 3,
}

KEPT = []


class Entry(object):
    __slots__ = harness.slots(4)


def work():
    for _ in range(300):
        Entry()


def handle():
    work()
    KEPT.append(Entry())  # LEAK


harness.serve(handle, harness.emptying(KEPT), warm=8)
