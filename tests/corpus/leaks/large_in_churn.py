# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Among thousands of small objects, and some of the same size that another line makes and drops, one that is too large for pymalloc stays."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "KEPT[*]",
    "kind": "large block in heavy churn",
    "line_marker": "# LEAK",
    "function": "upload",
    # where a part is recorded only, the bytearray that it belongs to mostly is not
    "types": ["bytearray buffer", "bytearray", "(buffer)"],
    "per_round": {"objects": 1},
    "rate": 20,
    "at_once": 3,
}

KEPT = []


def work():
    for _ in range(10):
        bytearray(40000)
    return sum(len("%d" % number) for number in range(1000))


def upload():
    work()
    KEPT.append(bytearray(40000))  # LEAK


harness.serve(upload, harness.emptying(KEPT), warm=8)
