# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The leak is made at the bottom of 220 frames."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "RESULTS[*]",
    "kind": "deep recursion",
    "line_marker": "# LEAK",
    "function": "descend",
    "types": ["__main__.Found"],
    "per_round": {"objects": 1},
}

RESULTS = []


class Found(object):
    __slots__ = harness.slots(40)


def descend(depth):
    if depth:
        return descend(depth - 1)
    RESULTS.append(Found())  # LEAK


def search():
    descend(220)


harness.serve(search, harness.emptying(RESULTS))
