# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The last 200 messages in a deque(maxlen=200)."""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "deque(maxlen)",
    "healthy": True,
    # fast enough that what was cached before the attach is replaced in about a second
    "rate": 200,
}

LAST = collections.deque(maxlen=200)
SEQUENCE = [0]


def request():
    SEQUENCE[0] += 1
    LAST.append("message " * 30 + str(SEQUENCE[0]))


def drop():
    pass


harness.serve(request, drop, warm=600)
