# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A dict used as a cache: the oldest entry leaves when a new one comes."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "dict cache with eviction",
    "healthy": True,
    # fast enough that what was cached before the attach is replaced in about a second
    "rate": 200,
    "settles": 200,
}

CACHE = {}
LIMIT = 200
SEQUENCE = [0]


def request():
    SEQUENCE[0] += 1
    CACHE[SEQUENCE[0]] = "v" * 300 + str(SEQUENCE[0])
    if len(CACHE) > LIMIT:
        del CACHE[next(iter(CACHE))]


def drop():
    pass


harness.serve(request, drop, warm=600)
