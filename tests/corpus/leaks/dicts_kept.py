# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A dict per event, kept: the key tables weigh, not the dict objects."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "EVENTS[*]",
    "kind": "dicts",
    "line_marker": "# LEAK",
    "function": "event",
    "types": ["dict keys", "dict"],
    # key tables of up to eight entries may come from a free list; these are bigger
    "per_round": {"objects": 1},
}

FIELDS = {"field%d" % number: None for number in range(20)}
EVENTS = []


def event():
    EVENTS.append(FIELDS.copy())  # LEAK


harness.serve(event, harness.emptying(EVENTS))
