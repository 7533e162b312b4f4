# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A class made per request."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "MODELS[*]",
    "kind": "class creation",
    "line_marker": "# LEAK",
    "function": "define",
    "types": ["type"],
    "per_round": {"objects": 1},
}

class Model(object):
    __slots__ = ()


MODELS = []
BASES = (Model,)


def define():
    MODELS.append(type("Row", BASES, {"__slots__": (), "__module__": "app"}))  # LEAK


harness.serve(define, harness.emptying(MODELS))
