# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Rows made in a list comprehension."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "PAGES[*][*]",
    "kind": "comprehension",
    "line_marker": "# LEAK",
    # a code object of its own from 3.0 until 3.12 inlined it
    "function": {"2.7": "load", "3.6": "<listcomp>", "3.11": "load.<locals>.<listcomp>", "3.12": "load"},
    "types": ["__main__.Row"],
    "per_round": {"objects": 8},
}

PAGES = []
EIGHT = range(8)


class Row(object):
    __slots__ = harness.slots(8)


def load():
    PAGES.append([Row() for _ in EIGHT])  # LEAK


harness.serve(load, harness.emptying(PAGES))
