# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""census --new-since: what is new since a mark, and has survived."""
import calendar
import json
import os
import signal
import subprocess
import time

import pytest

import schema
from process import HERE, PATIENCE, Child

PROGRAM = os.path.join(HERE, "programs", "mass.py")


class Census(Child):
    """Marked when this returns."""

    def __init__(self, tool, target, *args):
        super().__init__([tool, "census", "-p", str(target.pid), "--json", "-vv"] + list(args), stdin=subprocess.DEVNULL)
        assert self.err.wait_for(lambda line: "marked" in line), self.err.text()
        self.readings = []

    def reading(self):
        line = self.out.next(time.monotonic() + PATIENCE)
        assert line, self.err.text()
        self.readings.append(json.loads(line))
        return self.readings[-1]

    def fresh(self):
        """One that was begun after this call."""
        while self.out.next(time.monotonic()):
            pass
        self.reading()
        return self.reading()

    def until(self, test):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            reading = self.reading()
            if test(reading):
                return reading
        raise AssertionError(self.readings[-1])

    def looked(self, collections):
        assert self.err.wait_for(lambda line: line.endswith("looked at after %d full collections" % collections)), self.err.text()


def new(reading, field="new_objects"):
    """Of the program's own types."""
    return {row["type"][9:]: row[field] for row in reading["types"] if row["type"] and row["type"].startswith("__main__.")}


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc", "malloc_debug"])
def test_new(interpreter, tool, start, allocator):
    if interpreter.version < (3, 6) and allocator != "pymalloc":
        pytest.skip("2.7 has no PYTHONMALLOC")
    target = start(interpreter, PROGRAM, env={"PYTHONMALLOC": allocator})
    target.command("instances 1000")
    target.command("large 100")
    target.command("items 400")
    with Census(tool, target, "--new-since", "0.5s", "--every", "0.3") as census:
        nothing = census.fresh()
        assert not new(nothing), nothing["types"]
        target.command("instances 500")
        target.command("instances 200")
        target.command("drop")
        target.command("large 40")
        target.command("items 300")
        reading = census.fresh()
        assert new(reading) == {"Point": 500, "Large": 40, "Items": 300}
        assert new(reading, "objects") == {"Point": 1500, "Large": 140, "Items": 700}
        rows = {row["type"]: row for row in reading["types"]}
        each = {row["type"]: row["bytes"] / row["objects"] for row in reading["types"]}
        for name in ("__main__.Point", "__main__.Large"):
            # some sizes of chunks differ by their alignment
            assert abs(rows[name]["new_bytes"] - each[name] * rows[name]["new_objects"]) <= 16 * rows[name]["new_objects"]
        assert 8 * 20 * 300 <= rows["__main__.Items"]["new_owned_bytes"] - rows["__main__.Items"]["new_bytes"] < 8 * 20 * 600
        assert sum(row["new_objects"] for row in reading["types"]) < 2400
        target.command("instances 300")
        assert new(census.fresh()) == {"Point": 800, "Large": 40, "Items": 300}
        census.kill(signal.SIGINT)
        assert census.wait() == 0
        assert all(0.5 <= reading["new_since"]["mark_s"] for reading in census.readings)


def test_survived_collections(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    if interpreter.version < (3,):
        done = subprocess.run([tool, "census", "-p", str(target.pid), "--new-since", "1s", "--survived", "2"], stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, timeout=PATIENCE)
        assert done.returncode == 3 and b"does not count" in done.stderr and not done.stdout
        return
    target.command("collect 3")
    with Census(tool, target, "--new-since", "0.5s", "--every", "0.3", "--survived", "2") as census:
        target.command("instances 500")
        target.command("collect 1")
        census.looked(4)
        assert not new(census.fresh())
        target.command("large 40")
        target.command("collect 1")
        census.looked(5)
        # by one collection
        assert not new(census.fresh())
        target.command("collect 1")
        reading = census.fresh()
        assert new(reading) == {"Point": 500}, "survived two collections since they were seen"
        assert reading["new_since"]["survived_full_gcs"] == 2 and reading["new_since"]["full_gcs"] == 3
        target.command("collect 1")
        assert new(census.fresh()) == {"Point": 500, "Large": 40}
        census.kill(signal.SIGINT)
        assert census.wait() == 0


def seconds(reading):
    return calendar.timegm(time.strptime(reading["time"][:19], "%Y-%m-%dT%H:%M:%S")) + float(reading["time"][19:-1])


def test_survived_time(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    with Census(tool, target, "--new-since", "2s", "--every", "0.3", "--survived", "1s") as census:
        made = time.time()
        target.command("instances 500")
        first = census.until(new)
        assert new(first) == {"Point": 500}
        # the clock of the reading is that of its end
        assert seconds(first) - made >= 1 and first["new_since"]["survived_s"] >= 1
        made = time.time()
        target.command("large 40")
        second = census.until(lambda reading: "Large" in new(reading))
        assert new(second) == {"Point": 500, "Large": 40}
        assert seconds(second) - made >= 1
        census.kill(signal.SIGINT)
        assert census.wait() == 0


def test_once(debian, tool, start):
    """One reading, as a table; and the schema."""
    target = start(debian, PROGRAM)
    rules = json.loads(subprocess.run([tool, "census", "--json-schema"], stdout=subprocess.PIPE, check=True).stdout)
    with Census(tool, target, "--new-since", "1s", "--survived", "200ms") as census:
        target.command("instances 500")
        assert not schema.errors(census.reading(), rules)
        assert census.wait() == 0
    child = Child([tool, "census", "-p", str(target.pid), "--new-since", "1s", "--filter", "Point"], stdin=subprocess.DEVNULL)
    with child:
        assert child.err.wait_for(lambda line: "marked" in line)
        target.command("instances 500")
        assert child.wait() == 0
    assert "new since the mark 1 s ago" in child.out.text()
    line, = [line for line in child.out.text().splitlines() if line.endswith(" __main__.Point")]
    assert line.split()[0] == "500" and line.split()[-2] == "1000"


@pytest.mark.parametrize("args", [["--survived", "2"], ["--new-since", "1s", "--survived", "1s"], ["--new-since", "1s", "--survived", "0"],
                                  ["--new-since", "1s", "--survived", "-1"], ["--new-since", "1s", "--survived", "x"],
                                  ["--new-since", "1s", "--sample", "0.1"], ["--new-since", "0"]], ids=" ".join)
def test_bad_options(tool, args):
    done = subprocess.run([tool, "census", "-p", "1"] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr.startswith(b"pyleak-bpf: ")
