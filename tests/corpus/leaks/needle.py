# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One object in about 2,500 allocations is leaked; all others are freed."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "KEPT[*]",
    "kind": "needle in heavy churn",
    "line_marker": "# LEAK",
    "function": "handle",
    "types": ["__main__.Audit"],
    "per_round": {"objects": 1},
    "rate": 20,
    "at_once": 3,
}

KEPT = []
WORDS = [str(number) * 3 for number in range(100)]


class Audit(object):
    __slots__ = harness.slots(6)


def work():
    total = 0
    for word in WORDS:
        pairs = [(word, index, [index + 1000, word + word]) for index in range(6)]
        total += len({word + str(index) for _, index, _ in pairs})
    return total


def handle():
    work()
    KEPT.append(Audit())  # LEAK


harness.serve(handle, harness.emptying(KEPT), warm=8)
