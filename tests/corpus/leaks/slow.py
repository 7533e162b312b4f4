# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A few objects a second."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "BEATS[*]",
    "kind": "slow leak",
    "line_marker": "# LEAK",
    "function": "heartbeat",
    "types": {"2.7": ["str"], "3.6": ["bytes"]},
    "per_round": {"objects": 1, "bytes": {"2.7": 837, "3.6": 833}},
    "rate": 4,
}

BEATS = []
SIZE = 800


def heartbeat():
    BEATS.append(b"x" * SIZE)  # LEAK


harness.serve(heartbeat, harness.emptying(BEATS))
