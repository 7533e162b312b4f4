# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Callbacks that close over their request and are never unregistered."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "CALLBACKS[*]",
    "kind": "closures kept",
    "line_marker": "# LEAK",
    "function": "subscribe",
    "types": ["function"],
    "per_round": {"objects": 1},
}

CALLBACKS = []


def subscribe(topic="news"):
    def deliver():  # LEAK
        return topic
    CALLBACKS.append(deliver)


harness.serve(subscribe, harness.emptying(CALLBACKS))
