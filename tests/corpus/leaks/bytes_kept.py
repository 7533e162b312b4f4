# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Request bodies kept as bytes."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "BODIES[*]",
    "kind": "bytes",
    "line_marker": "# LEAK",
    "function": "receive",
    "types": {"2.7": ["str"], "3.6": ["bytes"]},
    "per_round": {"objects": 1, "bytes": {"2.7": 437, "3.6": 433}},
}

BODIES = []
SIZE = 400


def receive():
    BODIES.append(b"x" * SIZE)  # LEAK


harness.serve(receive, harness.emptying(BODIES))
