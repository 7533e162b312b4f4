# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Budget mode's estimates against the truth, on a program that makes 250 objects of one size for each one of the same size that it keeps. What a loaded
machine does to them is not the tool's fault, so: `make check-estimates`, on a quiet one.
"""
from test_budget import BUSY, RUN, Truth, at, brief, budget, in_budget, python, stop_run, until, within  # noqa: F401


def check_leak(found, start):
    target = start(found, BUSY, "one")
    tracer = budget(target)
    target.send(RUN)
    until(tracer, lambda snapshot: snapshot["growers"] and snapshot["growers"][0] == at(snapshot, "Kept", "one")
          and snapshot["growers"][0]["verdict"] == "growing")
    # now with enough of a sample
    while tracer.snapshot()["elapsed_s"] < 25:
        pass
    rounds = stop_run(target)
    snapshot = tracer.fresh()
    row = at(snapshot, "Kept", "one")
    assert row["stack"][0]["function"] == "keep_one"
    assert [frame["function"] for frame in row["stack"]][1:2] == ["one"]
    assert row["bytes_error"] > 0 and within(row, rounds), (rounds, brief(snapshot))
    in_budget(tracer.stop())
    return tracer


def test_a_leak_in_churn(python, bpf, start):
    """Found, with its line, its type and how much it is; what comes and goes is left in peace."""
    tracer = check_leak(python, start)
    for snapshot in tracer.snapshots:
        accused = [row for row in snapshot["growers"] if row["verdict"] == "growing" and (row["type"] or "").endswith("Passing")]
        assert not accused, brief(dict(snapshot, growers=accused))
    last = tracer.snapshots[-1]["growers"]
    assert not [row for row in last if row["verdict"] == "growing" and row["stack"] and row["stack"][0]["function"] == "churn"], \
        brief(tracer.snapshots[-1])


def test_two_lines_of_one_type(python, bpf, start):
    """The heap says how many there are, the sample how they divide: each row's interval holds the truth."""
    target = start(python, BUSY, "two")
    tracer = budget(target)
    target.send(RUN)
    until(tracer, lambda snapshot: at(snapshot, "Kept", "often") and at(snapshot, "Kept", "seldom") and snapshot["elapsed_s"] > 25)
    rounds = stop_run(target)
    snapshot = tracer.fresh()
    often, seldom = at(snapshot, "Kept", "often"), at(snapshot, "Kept", "seldom")
    # three times the half-width of the 95 % interval: more than five sigma of what it allows for; and what came after the last reading but one
    for row, objects in ((often, 3 * rounds), (seldom, rounds)):
        assert row["bytes_error"] > 0
        error = row["bytes_error"] / row["bytes"] * row["objects"] * 3 / 1.96 + 0.1 * objects
        assert abs(row["objects"] - objects) <= error, (rounds, brief(snapshot))
    # how many there are of both is known
    assert abs(often["objects"] + seldom["objects"] - 4 * rounds) <= 0.1 * 4 * rounds, (rounds, brief(snapshot))
    in_budget(tracer.stop())
