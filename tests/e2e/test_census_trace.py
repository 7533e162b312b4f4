# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""census and trace look at the same program and say the same; what has survived collections, by line."""
import json
import os
import subprocess

import pytest

from process import HERE, PATIENCE, Tracer, lossless

PROGRAM = os.path.join(HERE, "programs", "mass.py")
OWN = {"__main__.Point", "__main__.Pair", "__main__.Items", "__main__.Large"}
TYPES = OWN | {"dict", "list", "set", "tuple", "float"}


def census(tool, target):
    done = subprocess.run([tool, "census", "-p", str(target.pid), "--json"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    return {row["type"]: row["objects"] for row in json.loads(done.stdout)["types"]}


def traced(snapshot):
    lossless(snapshot)
    found = {}
    for row in snapshot["growers"]:
        found[row["type"]] = found.get(row["type"], 0) + row["objects"]
    return found


def gained(before, after):
    return {name: after.get(name, 0) - before.get(name, 0) for name in TYPES}


def test_they_agree(interpreter, bpf, start):
    if interpreter.origin == "pyenv" and interpreter.version[:2] not in ((3, 8), (3, 13)):
        pytest.skip("Debian's and two others are enough")
    target = start(interpreter, PROGRAM)
    target.command("instances 1000")
    with Tracer.json(target, "--group-by", "type", "-n", "1000", check=False) as tracer:
        # what waits in free lists from before is used up by this
        target.command("various 300")
        readings, snapshots = [], []
        for number in (1000, 77):
            readings.append(census(bpf, target))
            snapshots.append(traced(tracer.fresh()))
            target.command("various %d" % number)
        readings.append(census(bpf, target))
        snapshots.append(traced(tracer.fresh()))
        tracer.stop()
    for i, number in enumerate((1000, 77)):
        by_census = gained(readings[i], readings[i + 1])
        assert gained(snapshots[i], snapshots[i + 1]) == by_census
        assert {name: by_census[name] for name in OWN} == dict.fromkeys(OWN, number)
        assert number <= by_census["dict"] and number <= by_census["list"] <= number + 1
    target.command("ping")


def points(tracer):
    """Instances of Point by line."""
    return {row["stack"][0]["line"]: row["objects"] for row in tracer.fresh()["growers"] if row["type"] == "__main__.Point"}


def test_survived(interpreter, bpf, start):
    if interpreter.version < (3,):
        pytest.skip("does not count its collections")
    target = start(interpreter, PROGRAM)
    with Tracer.json(target, "-n", "1000", "--survived", "2", check=False) as tracer:
        target.command("instances 500")
        target.command("collect 1")
        assert not points(tracer)
        target.command("various 70")
        target.command("collect 1")
        assert list(points(tracer).values()) == [500]
        target.command("collect 1")
        assert sorted(points(tracer).values()) == [70, 500]
        assert all(row["survived_full_gcs"] >= 2 for row in tracer.fresh()["growers"])
        tracer.stop()
    target.command("ping")


@pytest.mark.parametrize("args", [["--survived", "20s"], ["--survived", "0"], ["--survived", "many"]], ids=" ".join)
def test_bad_options(tool, args):
    done = subprocess.run([tool, "-p", "1"] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr.startswith(b"pyleak-bpf: --survived")
