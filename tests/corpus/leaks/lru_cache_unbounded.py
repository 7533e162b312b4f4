# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""functools.lru_cache(maxsize=None) over arguments that never repeat."""
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "__main__.render",
    "since": "3.6",
    "kind": "unbounded lru_cache",
    "line_marker": "# LEAK",
    "function": "render",
    "types": ["str"],
    "per_round": {"objects": 1},
}

SEQUENCE = [0]


@functools.lru_cache(maxsize=None)
def render(number):
    return "%0400d" % number  # LEAK


def request():
    SEQUENCE[0] += 1
    render(SEQUENCE[0])


harness.serve(request, render.cache_clear)
