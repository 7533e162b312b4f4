# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Leaks what the interpreter recycles, beside code that makes and drops the same: the blocks are the others', the leak is not."""
import itertools
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "corpus"))
import harness

COUNT = itertools.count(1000)
KEPT = []
TEXT = json.dumps({"a": [1, 2, 3.5, {"b": "x" * 30}], "c": "text", "d": [[1.5, 2.5], {"e": {}}]})


def churn():
    for _ in range(5):
        json.loads(json.dumps(json.loads(TEXT)))


def leak():
    number = next(COUNT)
    KEPT.append({"number": number})  # dict
    KEPT.append([number, 2, 3])  # list
    KEPT.append((number, number))  # tuple
    KEPT.append(number * 1.5)  # float


harness.serve(leak, KEPT.clear, churn)
