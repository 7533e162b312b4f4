# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Waits, and does next to nothing."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "idle",
    "healthy": True,
    "rate": 2,
}

def tick():
    return len(str(os.getpid()))


def drop():
    pass


harness.serve(tick, drop)
