# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Floats, more and more of them: "kept" for good, or "replaced", each of them within seconds, so that only their number grows."""
import collections
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

STEPS = 25
LEVEL = collections.deque(0.5 + number for number in range(200))
COUNT = [1000.25]


def another():
    COUNT[0] += 1.5
    return COUNT[0] * 1.000001


def replaced():
    """All of them in the time of some ten rounds; one more in each round."""
    for _ in range(STEPS):
        LEVEL.popleft()
        LEVEL.append(another())  # replaced
    LEVEL.append(another())


def kept():
    for _ in range(STEPS):
        another()
    LEVEL.append(another())  # kept


harness.serve({"kept": kept, "replaced": replaced}[sys.argv[1]], lambda: None)
