# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Integers kept one by one: the objects weigh, not the list."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "NUMBERS[*][*]",
    "kind": "integers",
    "line_marker": "# LEAK",
    "function": {"2.7": "sample", "3.6": "<listcomp>", "3.11": "sample.<locals>.<listcomp>", "3.12": "sample"},
    "types": {"2.7": ["long"], "3.6": ["int"]},
    "per_round": {"objects": 8},
}

NUMBERS = []
BASE = 10 ** 60


def sample():
    first = BASE
    NUMBERS.append([first + n for n in (1, 2, 3, 4, 5, 6, 7, 8)])  # LEAK


harness.serve(sample, harness.emptying(NUMBERS))
