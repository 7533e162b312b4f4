# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exceptions raised deep down, caught, and dropped with their tracebacks."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "exceptions dropped",
    "healthy": True,
}

def descend(depth):
    body = bytes(1000)
    if depth == 0:
        raise ValueError(len(body))
    descend(depth - 1)


def request():
    for _ in range(5):
        try:
            descend(8)
        except ValueError as error:
            str(error)


def drop():
    pass


harness.serve(request, drop)
