# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Generators that were started, never finished, and kept."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "CURSORS[*]",
    "kind": "suspended generators kept",
    "line_marker": "# LEAK",
    "function": "open_cursor",
    # up to 3.10 the frame is an object of its own, and bigger; some come from a free list
    "types": {"2.7": ["frame"], "3.11": ["generator"]},
    "per_round": {"objects": {"2.7": None, "3.11": 1}},
}

CURSORS = []


def rows(a, b, c, d, e, f, g, h):
    i = j = k = m = None
    yield a
    yield b, c, d, e, f, g, h, i, j, k, m


def open_cursor():
    cursor = rows(1, 2, 3, 4, 5, 6, 7, 8)  # LEAK
    next(cursor)
    CURSORS.append(cursor)


harness.serve(open_cursor, harness.emptying(CURSORS))
