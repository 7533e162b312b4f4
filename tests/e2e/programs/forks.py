# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Forks a child when told "fork": the child frees all that was leaked, and leaks other things."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

KEEP = []
SIZE = 500


def leak():
    KEEP.append(bytes(SIZE))


def fork():
    child = os.fork()
    if not child:
        KEEP.clear()
        for _ in range(2000):
            leak()
        os._exit(0)
    return {"status": os.waitpid(child, 0)[1]}


harness.serve(leak, KEEP.clear, commands={"fork": fork})
