# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sub-interpreters: "own" makes one with a GIL of its own, "shared" one that shares the main one's; each then keeps objects."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402
from subinterpreters import create, run  # noqa: E402

SOURCE = """
class Session:
    pass
kept = [Session() for _ in range(1000)]
"""


KEPT = []


def make(isolated):
    made = create(isolated)
    KEPT.append(made)
    run(made, SOURCE)
    return {"made": 1000}


harness.serve(lambda: None, lambda: None, warm=1, commands={"own": lambda: make(True), "shared": lambda: make(False)})
