# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One large buffer per request, freed at its end."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "big buffers",
    "healthy": True,
}

SIZE = 300000


def request():
    body = bytearray(SIZE)
    body[:10] = b"0123456789"
    return len(bytes(body))


def drop():
    pass


harness.serve(request, drop)
