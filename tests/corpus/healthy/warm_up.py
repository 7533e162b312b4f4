# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fills its cache in the first seconds, then only reads: it must end as not growing."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "warm-up",
    "healthy": True,
    # while it fills, nobody can know; the last snapshots count
    "silent": "end",
    "seconds": 14,
}

CACHE = {}
LIMIT = 150


def request():
    key = len(CACHE)
    if key < LIMIT:
        CACHE[key] = "v" * 2000 + str(key)
    else:
        CACHE[key % LIMIT].upper()


harness.serve(request, harness.emptying(CACHE))
