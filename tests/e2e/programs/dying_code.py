# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each round runs code that is compiled, executed once and freed; the object it made stays."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

KEEP = []
SOURCE = "def made_%d():\n    KEEP.append(KIND())\nmade_%d()\n"
KINDS = [type("Number%d" % number, (), {"__slots__": harness.slots(9), "__module__": "kept"}) for number in range(2000)]
USED = [0]


def leak():
    number = USED[0]
    USED[0] += 1
    text = SOURCE % (number, number)
    exec(compile(text, "<dying %d>" % number, "exec"), {"KEEP": KEEP, "KIND": KINDS[number]})


harness.serve(leak, KEEP.clear)
