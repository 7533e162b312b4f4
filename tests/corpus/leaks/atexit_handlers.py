# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""atexit.register() per request: the store is a C array nobody sees."""
import atexit
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": {"2.7": "atexit", "3.10": "interpreter"},
    "since": "3.6",
    "kind": "atexit handlers",
    "line_marker": "# LEAK",
    "function": "begin",
    "types": ["__main__.Cleanup"],
    "per_round": {"objects": 1},
}

class Cleanup(object):
    __slots__ = harness.slots(24)

    def __call__(self):
        pass


def begin():
    atexit.register(Cleanup())  # LEAK


harness.serve(begin, atexit._clear)
