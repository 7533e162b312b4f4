# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A set of permissions copied for every session."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "SESSIONS[*]",
    "kind": "set",
    "line_marker": "# LEAK",
    "function": "login",
    "types": ["set table", "set"],
    "per_round": {"objects": 1},
}

PERMISSIONS = frozenset(range(40))
SESSIONS = []


def login():
    SESSIONS.append(set(PERMISSIONS))  # LEAK


harness.serve(login, harness.emptying(SESSIONS))
