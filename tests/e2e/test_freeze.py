# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""census --freeze: a still picture of a process that runs, which goes on whatever becomes of us."""
import glob
import json
import os
import random
import signal
import subprocess
import time

import pytest

from process import HERE, PATIENCE, Child

PROGRAM = os.path.join(HERE, "programs", "mass.py")
OBJECTS = 20000


def state(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def until(test, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if test():
            return
        time.sleep(0.0002)
    raise AssertionError(what)


def goes_on(target):
    """It runs: its thread goes round and round."""
    target.command("turns")
    until(lambda: target.command("turns") > 0, "the target does not go on")
    assert state(target.pid) not in "Tt"


def census(tool, target, *args):
    done = subprocess.run([tool, "census", "-p", str(target.pid), "--json", "--freeze"] + list(args), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.fixture
def busy(interpreter, start):
    target = start(interpreter, PROGRAM)
    target.command("instances %d" % OBJECTS)
    target.command("spin")
    return target


@pytest.fixture
def large(debian, start):
    """So that there is time to do something while it is read."""
    target = start(debian, PROGRAM)
    target.command("tuples 1000000")
    target.command("spin")
    return target


class Cgroup:
    def __init__(self, parent, name):
        self.path = os.path.join(parent, name)
        os.mkdir(self.path)

    def read(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read()

    def add(self, pid):
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))

    def close(self):
        with open(os.path.join(self.path, "cgroup.freeze"), "w", encoding="ascii") as file:
            file.write("0")
        for pid in self.read("cgroup.procs").split():
            with open(os.path.join(os.path.dirname(self.path), "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(pid)
        os.rmdir(self.path)


@pytest.fixture
def cgroup():
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    if not mounts:
        pytest.skip("no cgroup2 is mounted")
    try:
        made = Cgroup(mounts[0], "pyleak-freeze-%d" % os.getpid())
    except OSError as error:
        pytest.skip("no cgroup can be made: %s" % error)
    yield made
    made.close()


def test_still_picture(busy, tool):
    for reading in census(tool, busy, "--max-pause", "5s", "--every", "0.2", "-d", "1"):
        consistency = reading["consistency"]
        assert consistency["grade"] == "exact" and consistency["ran"] is False, consistency
        assert consistency["frozen_by"] == "signal" and not consistency["freeze_ended"], consistency
        assert 0 < consistency["frozen_s"] < 5
        assert {row["type"]: row["objects"] for row in reading["types"]}["__main__.Point"] == OBJECTS
    goes_on(busy)


def test_without_it(busy, tool):
    deadline = time.monotonic() + PATIENCE
    ran = False
    while not ran and time.monotonic() < deadline:  # on a loaded machine it may not have had a processor meanwhile
        done = subprocess.run([tool, "census", "-p", str(busy.pid), "--json"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
        consistency = json.loads(done.stdout)["consistency"]
        assert consistency["frozen_by"] is None and consistency["frozen_s"] is None
        ran = consistency["ran"]
        assert consistency["grade"] in (("near", "torn") if ran else ("exact",))
    assert ran


def test_the_bound_ends_it(large, tool):
    reading, = census(tool, large, "--max-pause", "1ms")
    consistency = reading["consistency"]
    assert consistency["grade"] in ("near", "torn") and consistency["ran"], consistency
    if "freeze_error" not in consistency: # a loaded machine does not come to rest that fast
        assert consistency["freeze_ended"] and consistency["frozen_s"] < consistency["reading_s"], consistency
    goes_on(large)
    out = subprocess.run([tool, "census", "-p", str(large.pid), "--freeze", "--max-pause", "20ms"], stdout=subprocess.PIPE, check=True,
                         timeout=PATIENCE).stdout.decode()
    assert "frozen for" in out and "--max-pause was over" in out, out
    goes_on(large)


def test_by_its_cgroup(busy, tool, cgroup):
    cgroup.add(busy.pid)
    reading, = census(tool, busy, "--max-pause", "5s")
    assert reading["consistency"]["frozen_by"] == "cgroup" and reading["consistency"]["grade"] == "exact", reading["consistency"]
    assert cgroup.read("cgroup.freeze") == "0\n"
    goes_on(busy)


@pytest.mark.parametrize("below", [False, True], ids=["same", "below"])
def test_others_are_not_frozen(debian, busy, tool, start, cgroup, below):
    """A process beside it, or in a cgroup below: by signal then."""
    other = start(debian, PROGRAM)
    other.command("spin")
    cgroup.add(busy.pid)
    inner = Cgroup(cgroup.path, "below") if below else None
    try:
        (inner or cgroup).add(other.pid)
        reading, = census(tool, busy, "--max-pause", "5s")
        assert reading["consistency"]["frozen_by"] == "signal" and reading["consistency"]["grade"] == "exact", reading["consistency"]
        goes_on(other)
    finally:
        if inner:
            inner.close()
    goes_on(busy)


def test_a_frozen_cgroup_stays_frozen(busy, tool, cgroup):
    cgroup.add(busy.pid)
    with open(os.path.join(cgroup.path, "cgroup.freeze"), "w", encoding="ascii") as file:
        file.write("1")
    until(lambda: "frozen 1" in cgroup.read("cgroup.events"), "it does not freeze")
    reading, = census(tool, busy, "--max-pause", "1s")
    assert reading["consistency"]["frozen_by"] == "stopped before" and reading["consistency"]["grade"] == "exact", reading["consistency"]
    assert cgroup.read("cgroup.freeze") == "1\n" and "frozen 1" in cgroup.read("cgroup.events")


def test_a_stopped_process_stays_stopped(busy, tool):
    os.kill(busy.pid, signal.SIGSTOP)
    until(lambda: state(busy.pid) == "T", "it does not stop")
    reading, = census(tool, busy)
    consistency = reading["consistency"]
    assert consistency["grade"] == "exact" and consistency["frozen_by"] == "stopped before" and consistency["frozen_s"] == 0, consistency
    assert state(busy.pid) == "T"
    os.kill(busy.pid, signal.SIGCONT)
    goes_on(busy)


def frozen(target, cgroup):
    return "frozen 1" in cgroup.read("cgroup.events") if cgroup else state(target.pid) == "T"


def start_census(tool, target):
    return Child([tool, "census", "-p", str(target.pid), "--json", "--freeze", "--max-pause", "10s"], stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("by", ["signal", "cgroup"])
def test_the_tracer_is_killed(large, tool, by, request):
    """While the process is held; then at any moment."""
    group = request.getfixturevalue("cgroup") if by == "cgroup" else None
    if group:
        group.add(large.pid)
    with start_census(tool, large) as tracer:
        until(lambda: frozen(large, group), "it is not held")
        tracer.kill(signal.SIGKILL)
        tracer.wait()
    until(lambda: not frozen(large, group), "it is not let go")
    goes_on(large)
    random.seed(4)
    for _ in range(25):
        with start_census(tool, large) as tracer:
            time.sleep(random.uniform(0, 0.08))
            tracer.kill(signal.SIGKILL)
            tracer.wait()
        until(lambda: not frozen(large, group), "it is not let go")
        goes_on(large)


def guardian_of(pid):
    for name in glob.glob("/proc/%d/task/*/children" % pid):
        with open(name, encoding="ascii") as file:
            for child in map(int, file.read().split()):
                with open("/proc/%d/comm" % child, encoding="utf-8") as comm:
                    if comm.read() == "pyleak-freezer\n":
                        return child
    return None


@pytest.mark.parametrize("by", ["signal", "cgroup"])
def test_the_guardian_is_killed(large, tool, by, request):
    """The tracer lets the process go then."""
    group = request.getfixturevalue("cgroup") if by == "cgroup" else None
    if group:
        group.add(large.pid)
    with start_census(tool, large) as tracer:
        until(lambda: frozen(large, group), "it is not held")
        os.kill(guardian_of(tracer.pid), signal.SIGKILL)
        assert tracer.wait() == 0
    until(lambda: not frozen(large, group), "it is not let go")
    goes_on(large)


def test_the_target_ends_while_it_is_held(large, tool):
    with start_census(tool, large) as tracer:
        until(lambda: frozen(large, None), "it is not held")
        large.kill(signal.SIGKILL)
        assert tracer.wait() == 4
