# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Blocks far above 512 bytes: they pass pymalloc by and come from malloc and mmap."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "UPLOADS[*]",
    "kind": "big blocks",
    "line_marker": "# LEAK",
    "function": "upload",
    "types": {"2.7": ["str"], "3.6": ["bytes"]},
    "per_round": {"objects": 1, "bytes": {"2.7": 200037, "3.6": 200033}},
    "rate": 20,
}

UPLOADS = []
SIZE = 200000


def upload():
    UPLOADS.append(b"x" * SIZE)  # LEAK


harness.serve(upload, harness.emptying(UPLOADS), warm=4)
