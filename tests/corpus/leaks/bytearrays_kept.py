# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many bytearrays: the buffers weigh, not the objects."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "BUFFERS[*]",
    "kind": "bytearrays",
    "line_marker": "# LEAK",
    "function": "receive",
    "types": ["bytearray buffer", "bytearray"],
    "per_round": {"objects": 1},
}

BUFFERS = []
SIZE = 480


def receive():
    BUFFERS.append(bytearray(SIZE))  # LEAK


harness.serve(receive, harness.emptying(BUFFERS))
