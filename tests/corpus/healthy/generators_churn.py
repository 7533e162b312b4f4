# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Generators, finished or thrown away half-way."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "generators",
    "healthy": True,
}

def numbers(limit):
    for number in range(limit):
        yield str(number) * 20


def request():
    total = sum(len(text) for text in numbers(50))
    half = numbers(50)
    next(half)
    next(half)
    return total


def drop():
    pass


harness.serve(request, drop)
