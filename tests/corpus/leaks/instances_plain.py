# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ordinary instances: what weighs most is their attribute storage, a block of its own until 3.12."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "CUSTOMERS[*]",
    "kind": "plain instances",
    # 2.7: a table from the sixth attribute on; until 3.10 made with the first attribute, 3.11 and 3.12 with the object, since 3.13 inside the object
    "line_marker": {"2.7": "# TABLE", "3.6": "# ATTRIBUTES", "3.11": "# LEAK"},
    "function": {"2.7": "__init__", "3.11": "register"},
    "types": {"2.7": ["dict keys", "dict"], "3.6": ["dict values", "dict"], "3.11": ["dict values", "__main__.Customer"], "3.13": ["__main__.Customer"]},
    "per_round": {"objects": 1},
}

class Customer(object):
    def __init__(self, number):
        self.number = number  # ATTRIBUTES
        self.a = self.b = self.c = self.d = self.e = self.f = self.g = None  # TABLE
        self.h = self.i = self.j = self.k = self.m = self.n = self.o = None


CUSTOMERS = []


def register():
    CUSTOMERS.append(Customer(7))  # LEAK


harness.serve(register, harness.emptying(CUSTOMERS))
