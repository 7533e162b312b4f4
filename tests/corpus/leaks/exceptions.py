# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exceptions kept for a report; their tracebacks keep every local variable."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "FAILED[*]",
    "since": "3.6",  # then they have their traceback
    "kind": "exceptions kept with tracebacks",
    "line_marker": "# LEAK",
    "function": "parse",
    "types": ["bytes"],
    "per_round": {"objects": 1, "bytes": 3033},
}

FAILED = []
SIZE = 3000


def parse():
    body = bytes(SIZE)  # LEAK
    raise ValueError(len(body))


def handle():
    try:
        parse()
    except ValueError as error:
        FAILED.append(error)


harness.serve(handle, harness.emptying(FAILED))
