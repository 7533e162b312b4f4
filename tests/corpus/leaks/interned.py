# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""sys.intern() on text that never repeats."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "LABELS[*]",
    "kind": "interned strings",
    "line_marker": "# LEAK",
    "function": "label",
    "types": ["str"],
    "per_round": {"objects": 1},
    # 3.12 made every interned string immortal, 3.13 took that back
    "free": {"2.7": True, "3.12": False, "3.13": True},
}

LABELS = []
INTERN = getattr(sys, "intern", None) or intern  # noqa: F821
SEQUENCE = [0]


def label():
    SEQUENCE[0] += 1
    LABELS.append(INTERN("%0300d" % SEQUENCE[0]))  # LEAK


harness.serve(label, harness.emptying(LABELS))
