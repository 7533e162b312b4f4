# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Instances with a __dict__, big enough themselves to come first."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "SESSIONS[*]",
    "kind": "__dict__ instances",
    "line_marker": "# LEAK",
    "function": "login",
    "types": ["__main__.Session"],
    "per_round": {"objects": 1},
}

class Base(object):
    __slots__ = harness.slots(120)


class Session(Base):
    pass


SESSIONS = []


def login():
    session = Session()  # LEAK
    session.user = 1
    SESSIONS.append(session)


harness.serve(login, harness.emptying(SESSIONS))
