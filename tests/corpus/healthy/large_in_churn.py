# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Among thousands of small objects the last ones that are too large for pymalloc are kept: the twin of leaks/large_in_churn.py."""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "ring of large blocks in heavy churn",
    "settles": 260,
    "healthy": True,
    "rate": 20,
    "at_once": 3,
}

KEPT = collections.deque(maxlen=200)


def work():
    for _ in range(10):
        bytearray(40000)
    return sum(len("%d" % number) for number in range(1000))


def upload():
    work()
    KEPT.append(bytearray(40000))


harness.serve(upload, KEPT.clear, warm=8)
