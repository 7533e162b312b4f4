# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Coroutine objects that are made and never awaited."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "PENDING[*]",
    "since": "3.6",
    "kind": "coroutine objects kept",
    "line_marker": "# LEAK",
    "function": "schedule",
    "types": {"2.7": ["frame"], "3.11": ["coroutine"]},
    "per_round": {"objects": {"2.7": None, "3.11": 1}},
}

PENDING = []


async def notify(a, b, c, d, e, f, g, h):
    i = j = k = m = None
    return a, b, c, d, e, f, g, h, i, j, k, m


def schedule():
    PENDING.append(notify(1, 2, 3, 4, 5, 6, 7, 8))  # LEAK


def drop():
    for coroutine in PENDING:
        coroutine.close()
    PENDING.clear()


harness.serve(schedule, drop)
