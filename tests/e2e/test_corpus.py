# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exact mode: the first grower is the leak, with the exact amount; healthy programs are left in peace."""
from process import Tracer, lossless
from truth import brief


def test_leak_is_first(leak_case, interpreter, bpf, start):
    target = start(interpreter, leak_case.path)
    tracer = Tracer.json(target, "-n", 30)
    target.send("run 120 %g" % leak_case.rate)
    while True:
        during = tracer.snapshot()
        if during["elapsed_s"] >= leak_case.seconds:
            break
    leak_case.check_first(during)
    assert during["growers"][0]["verdict"] == "growing", brief(during)

    target.send("stop")
    done = target.answer()
    final = tracer.stop()
    lossless(final)
    first = leak_case.check_first(final)
    assert first["verdict"] == "growing", brief(final)
    leak_case.check_amount(final, done["rounds"])
    assert first["pid"] == target.pid
    assert final["outstanding"]["bytes"] >= first["bytes"]


def test_healthy_is_silent(healthy_case, interpreter, bpf, start):
    target = start(interpreter, healthy_case.path)
    tracer = Tracer.json(target, "-n", 30)
    target.send("run 120 %g" % healthy_case.rate)
    snapshots = []
    while not snapshots or snapshots[-1]["elapsed_s"] < healthy_case.seconds:
        snapshots.append(tracer.snapshot())
    target.send("stop")
    target.answer()
    snapshots.append(tracer.stop())
    lossless(snapshots[-1])
    for snapshot in snapshots if healthy_case.silent == "always" else snapshots[-4:]:
        accused = [row for row in snapshot["growers"] if row["verdict"] == "growing"]
        assert not accused, brief(dict(snapshot, growers=accused))
