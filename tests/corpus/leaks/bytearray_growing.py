# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One bytearray that grows by realloc: a single block, no new object."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "JOURNAL",
    "kind": "bytearray that grows",
    "line_marker": "# LEAK",
    "function": "receive",
    # its bytearray was made before the attach, so nothing need tell what the block is for
    "types": ["bytearray buffer", "(buffer)"],
    "per_round": {"objects": None},
    "rate": 40,
}

CHUNK = b"\0" * 32768  # bytes(32768) are five bytes in 2.7
JOURNAL = bytearray()


def receive():
    JOURNAL.extend(CHUNK)  # LEAK


harness.serve(receive, harness.emptying(JOURNAL), warm=16)
