# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Instances of a class with __slots__."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "POINTS[*]",
    "kind": "__slots__ instances",
    "line_marker": "# LEAK",
    "function": "track",
    "types": ["__main__.Point"],
    "per_round": {"objects": 1},
}

class Point(object):
    __slots__ = ("x", "y", "z", "label")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z
        self.label = None


POINTS = []


def track():
    POINTS.append(Point(1, 2, 3))  # LEAK


harness.serve(track, harness.emptying(POINTS))
