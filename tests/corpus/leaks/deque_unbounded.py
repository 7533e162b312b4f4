# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A deque that is filled and never consumed."""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "QUEUES[0]",
    "kind": "deque",
    "line_marker": "# LEAK",
    "function": "enqueue",
    "types": ["deque block"],
    # 64 pointers a block; before 3.11 up to 16 blocks come from a free list of the module
    "per_round": {"objects": {"2.7": None, "3.11": 4}},
}

BATCH = (None,) * 256
QUEUES = [collections.deque()]


def enqueue():
    QUEUES[0].extend(BATCH)  # LEAK


def drop():
    QUEUES[0] = collections.deque()


harness.serve(enqueue, drop)
