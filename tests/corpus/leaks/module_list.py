# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A module-level list that is only ever appended to."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "HISTORY[*]",
    "kind": "module-level list",
    "line_marker": "# LEAK",
    "function": "remember",
    "types": ["str"],
    "per_round": {"objects": 1, "bytes": {"2.7": 337, "3.6": 349, "3.12": 341}},
}

HISTORY = []
WIDTH = 300


def remember():
    HISTORY.append("x" * WIDTH)  # LEAK


harness.serve(remember, harness.emptying(HISTORY))
