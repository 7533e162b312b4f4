# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fills a buffer for two seconds, then flushes it, for ever."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "sawtooth",
    "healthy": True,
    "seconds": 14,
}

PERIOD = float(os.environ.get("SAWTOOTH_PERIOD", "2"))
BUFFER = []
FLUSHED = [harness.monotonic()]


def request():
    BUFFER.append("record" * 100 + str(len(BUFFER)))
    now = harness.monotonic()
    if now - FLUSHED[0] >= PERIOD:
        FLUSHED[0] = now
        del BUFFER[:]


harness.serve(request, harness.emptying(BUFFER))
