# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A bounded lru_cache under arguments that never repeat: full before anybody looks, then it only turns over."""
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "since": "3.6",
    "kind": "bounded lru_cache",
    "healthy": True,
    # fast enough that what was cached before the attach is replaced in about a second
    "rate": 200,
    "settles": 256,
}

SEQUENCE = [0]


@functools.lru_cache(maxsize=256)
def render(number):
    return "%0400d" % number


def request():
    SEQUENCE[0] += 1
    render(SEQUENCE[0])


def drop():
    pass  # a cache is no leak: nothing to give back


harness.serve(request, drop, warm=600)
