# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The last instances are kept, of a class that another line makes 300 times as many of, and drops: the twin of leaks/one_of_many.py."""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "ring of instances in heavy churn",
    "healthy": True,
    "rate": 20,
    "at_once": 3,
}

KEPT = collections.deque(maxlen=50)


class Entry(object):
    __slots__ = harness.slots(4)


def work():
    for _ in range(300):
        Entry()


def handle():
    work()
    KEPT.append(Entry())


harness.serve(handle, KEPT.clear, warm=60)
