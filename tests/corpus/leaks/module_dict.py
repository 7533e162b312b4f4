# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A module-level dict whose keys never repeat."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "TABLE[*]",
    "kind": "module-level dict",
    "line_marker": "# LEAK",
    "function": "store",
    "types": ["tuple"],
    "per_round": {"objects": 1},
}

ROW = tuple(range(51))
TABLE = {}


def store():
    key = len(TABLE)
    TABLE[key] = ROW[1:]  # LEAK


harness.serve(store, harness.emptying(TABLE))
