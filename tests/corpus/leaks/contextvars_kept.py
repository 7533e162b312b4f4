# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A copy of the context kept per request, each holding its own value."""
import contextvars
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "CONTEXTS[*]",
    "since": "3.7",
    "kind": "contexts kept",
    "line_marker": "# LEAK",
    "function": "bind",
    "types": ["__main__.Trace"],
    "per_round": {"objects": 1},
}

class Trace(object):
    __slots__ = harness.slots(60)


REQUEST = contextvars.ContextVar("request")
CONTEXTS = []


def bind():
    REQUEST.set(Trace())  # LEAK


def handle():
    context = contextvars.copy_context()
    context.run(bind)
    CONTEXTS.append(context)


harness.serve(handle, harness.emptying(CONTEXTS))
