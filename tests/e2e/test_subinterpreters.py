# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sub-interpreters: what is said of objects of theirs is true, whenever they were made and whoever else allocates meanwhile."""
import os
import time

import pytest

from process import HERE, PATIENCE, Tracer, lossless
from truth import brief

PROGRAM = os.path.join(HERE, "programs", "own_gils.py")
MANY = os.path.join(HERE, "programs", "many_gils.py")
KEPT_LINE = 12


def sessions(report):
    return [row for row in report["growers"] if row["type"] == "__main__.Session"]


def report_with(tracer, test):
    deadline = time.monotonic() + PATIENCE
    while True:
        report = tracer.snapshot()
        if test(report):
            return report
        assert time.monotonic() < deadline, report["processes"]


@pytest.fixture
def versions_with_several(interpreter):
    if interpreter.version < (3, 12):
        pytest.skip("all share the GIL")
    return interpreter


def test_coverage(versions_with_several, bpf, start):
    target = start(versions_with_several, PROGRAM)
    tracer = Tracer.json(target, "-n", 5000)
    made = 0
    for kind in ("shared", "own", "shared"):
        made += target.command(kind)["made"]
        report = report_with(tracer, lambda report: sum(row["objects"] for row in sessions(report)) >= made)
        rows = sessions(report)
        assert sum(row["objects"] for row in rows) == made, rows
        assert {row["stack"][0]["file"] for row in rows} <= {"<string>", "<script>"}, rows
        assert {row["stack"][-1]["file"] for row in rows} <= {"<string>", "<script>"}, rows
    lossless(tracer.stop())


def rows_of(report):
    """{interpreter: {type: (objects, bytes)}} by the innermost line; a stack must not lead through two interpreters."""
    found = {}
    for row in report["growers"]:
        files = {frame["file"] for frame in row["stack"] if (frame["file"] or "").startswith("<interpreter ")}
        assert len(files) <= 1, row
        for file in files:
            number = int(file[len("<interpreter "):-1])
            innermost = row["stack"][0]["file"] == file and row["stack"][0]["line"]
            assert number == 0 or MANY not in {frame["file"] for frame in row["stack"]}, row
            assert not row["type"].startswith("__main__.Session") or row["type"] == "__main__.Session%d" % number, row
            if innermost in (KEPT_LINE, KEPT_LINE + 1, KEPT_LINE + 2):
                kind = (innermost, row["type"].replace("__main__.", ""))
                was = found.setdefault(number, {}).get(kind, (0, 0))
                found[number][kind] = was[0] + row["objects"], was[1] + row["bytes"]
    return found


def objects_of(report, name):
    return sum(row["objects"] for row in report["growers"] if row["type"] == "__main__." + name)


def check_kept(report, kept):
    found = rows_of(report)
    assert len(kept) == 4, kept
    for number, count in kept:
        rows = found.get(number, {})
        assert objects_of(report, "Session%d" % number) == count, (
            number, brief(dict(report, growers=[row for row in report["growers"] if row["type"] == "__main__.Session%d" % number])))
        assert rows[KEPT_LINE, "Session%d" % number][0] == count, (number, rows)
        assert rows[KEPT_LINE + 1, "bytes"][0] == count, (number, rows)
        assert rows[KEPT_LINE + 2, "bytearray"][0] == count, (number, rows)


@pytest.mark.parametrize("when", ["before", "while", "both"])
def test_all_allocate_at_once(versions_with_several, bpf, start, when):
    """Those that were made before the attach, those that are made while traced."""
    target = start(versions_with_several, MANY)
    if when != "while":
        target.command("make" if when == "before" else "make1")
    tracer = Tracer.json(target, "-n", 20000)
    if when == "while":
        target.command("make")
    elif when == "both":
        target.command("make1")
        target.command("make1")
    for _ in range(3):
        kept = target.command("keep")["kept"]
        report = tracer.fresh()
        check_kept(report, kept)
        lossless(report)
    target.command("drop")
    report = tracer.fresh()
    assert [objects_of(report, "Session%d" % number) for number, _ in kept] == [0] * len(kept)
    target.command("end")
    target.command("make")
    kept = target.command("keep")["kept"]
    report = tracer.fresh()
    check_kept(report, kept)
    lossless(report)
    lossless(tracer.stop())


def test_a_shared_gil_costs_no_more_for_long(versions_with_several, bpf, start):
    """What looked like an interpreter with a GIL of its own, and was none, is told apart, and nothing is lost on the way."""
    target = start(versions_with_several, PROGRAM)
    tracer = Tracer.json(target, "-n", 5000)
    made = target.command("shared")["made"]
    for _ in range(3):
        report = tracer.fresh()
        assert sum(row["objects"] for row in sessions(report)) == made
    made += target.command("shared")["made"]
    assert sum(row["objects"] for row in sessions(tracer.fresh())) == made
    lossless(tracer.stop())
