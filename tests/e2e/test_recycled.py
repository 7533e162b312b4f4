# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Objects from free lists: no allocator call tells of them, and yet they are booked where they are made (3.10 and later)."""
import os

from process import HERE, Tracer, lossless

PROGRAM = os.path.join(HERE, "programs", "recycled.py")
ROUNDS = 2000
IN_FLIGHT = 60  # dead ones that wait in free lists are not the leak's, but may lie on its lines


def marked(name):
    with open(PROGRAM, encoding="utf-8") as source:
        return [number for number, line in enumerate(source, 1) if line.endswith("  # %s\n" % name)][0]


def test_recycled_objects_are_booked_where_they_are_made(interpreter, bpf, start):
    target = start(interpreter, PROGRAM)
    tracer = Tracer.json(target, "-n", 2000)
    target.command("round %d" % ROUNDS)
    final = tracer.stop()
    lossless(final)
    for name in ("dict", "list", "tuple", "float"):
        rows = [row for row in final["growers"] if row["type"] == name]
        everywhere = sum(row["objects"] for row in rows)
        assert ROUNDS - 2 * IN_FLIGHT <= everywhere <= ROUNDS + 20 * IN_FLIGHT, (name, everywhere)
        if interpreter.version < (3, 10):
            continue  # their free lists are static variables without a name in most builds: said in the docs
        here = sum(row["objects"] for row in rows if row["stack"] and row["stack"][0]["file"] == PROGRAM
                   and row["stack"][0]["line"] == marked(name))
        # what was recycled from before the attach is not ours to count
        assert ROUNDS - 2 * IN_FLIGHT <= here <= ROUNDS + IN_FLIGHT, (name, here, rows[:3])
