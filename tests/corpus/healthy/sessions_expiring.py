# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sessions that live for one second: the level stays, every object goes."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "since": "3.6",
    "kind": "expiring sessions",
    "healthy": True,
    "settles": 60,
}

LIFE = 1.0
SESSIONS = {}
SEQUENCE = [0]


class Session(object):
    def __init__(self, born):
        self.born = born
        self.data = bytearray(800)


def request():
    now = time.monotonic()
    SEQUENCE[0] += 1
    SESSIONS[SEQUENCE[0]] = Session(now)
    for key, session in list(SESSIONS.items()):
        if now - session.born < LIFE:
            break
        del SESSIONS[key]


harness.serve(request, harness.emptying(SESSIONS))
