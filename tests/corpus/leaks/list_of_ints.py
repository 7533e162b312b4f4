# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One list that realloc makes longer and longer; its small integers cost nothing."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "SAMPLES",
    "kind": "realloc-growing list",
    "line_marker": "# LEAK",
    "function": "sample",
    "types": ["list items"],
    "per_round": {"objects": None},
}

BATCH = [number % 100 for number in range(2000)]
SAMPLES = []


def sample():
    SAMPLES.extend(BATCH)  # LEAK


harness.serve(sample, harness.emptying(SAMPLES), warm=16)
