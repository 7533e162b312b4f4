# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When memory ends: programs that grow at a known rate towards a known limit, up to the kill."""
import os
import resource
import signal
import time

import pytest

from conftest import unusable
from memory import status_kb
from process import CORPUS, HERE, PATIENCE, PYLEAK, Tracer

GROWER = os.path.join(HERE, "programs", "grower.py")
MIB = 1 << 20
PIECE = 64 << 10
# a range of 95 % may miss; what the test says is certain: a tenth beside it, and as much as a report is late
SLACK, LATE_S = 0.1, 1.5


def memory_mount():
    """(mount point, is v2) of the hierarchy that limits memory."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            mount, _, rest = line.partition(" - ")
            kind, _, options = rest.split(" ", 2)
            place = mount.split()[4]
            if kind == "cgroup" and "memory" in options.strip().split(","):
                return place, False
            if kind == "cgroup2":
                with open(os.path.join(place, "cgroup.controllers"), encoding="ascii") as controllers:
                    if "memory" in controllers.read().split():
                        found = place, True
    return found


def write(place, name, value):
    with open(os.path.join(place, name), "w", encoding="ascii") as file:
        file.write(str(value))


def read(place, name):
    with open(os.path.join(place, name), encoding="ascii") as file:
        return file.read()


class Cgroup:
    """One with a limit, and one inside it for the processes: the limit is that of an ancestor."""

    def __init__(self, mount, v2):
        self.v2 = v2
        self.place = os.path.join(mount, "pyleak-test-limit-%d" % os.getpid())
        self.inside = os.path.join(self.place, "inside")
        self.mount = None
        if v2 and "memory" not in read(mount, "cgroup.subtree_control").split():
            write(mount, "cgroup.subtree_control", "+memory")
            self.mount = mount  # to be put back
        os.mkdir(self.place)
        os.mkdir(self.inside)

    def limit(self, size, place=None):
        write(place or self.place, "memory.max" if self.v2 else "memory.limit_in_bytes", size)
        if place:
            return
        swap = "memory.swap.max" if self.v2 else "memory.memsw.limit_in_bytes"
        if os.path.exists(os.path.join(self.place, swap)):
            write(self.place, swap, 0 if self.v2 else size)

    def high(self, size):
        write(self.place, "memory.high", size)

    def move(self, pid):
        write(self.inside, "cgroup.procs", pid)

    def used(self):
        stat = dict(line.split() for line in read(self.place, "memory.stat").splitlines())
        used = int(read(self.place, "memory.current" if self.v2 else "memory.usage_in_bytes"))
        return used - int(stat["inactive_file" if self.v2 else "total_inactive_file"])

    def remove(self):
        for place in (self.inside, self.place):
            if os.path.isdir(place):
                os.rmdir(place)
        if self.mount:
            write(self.mount, "cgroup.subtree_control", "-memory")


@pytest.fixture
def memory_cgroup():
    """Before `start` among the arguments of a test, so that its processes have gone when it is removed."""
    mount = memory_mount()
    if not mount:
        unusable("no cgroups that limit memory")
    group = None
    try:
        group = Cgroup(*mount)
    except OSError as error:
        unusable("no memory cgroup can be made: %s" % error)
    yield group
    group.remove()


def grow(target, mib_per_s):
    target.send("run 600 %d" % (mib_per_s * MIB // PIECE))


def stop(target):
    target.send("stop")
    target.answer()


def process_of(snapshot, pid):
    return next(process for process in snapshot["processes"] if process["pid"] == pid)


def growing(tracer, pid, timeout=PATIENCE):
    """The next process with a forecast, and when it came."""
    deadline = time.monotonic() + timeout
    while True:
        process = process_of(tracer.snapshot(), pid)
        if process["forecast"]["trend"] == "growing":
            return process, time.monotonic()
        assert time.monotonic() < deadline, process


def check(forecast, truth_s):
    assert forecast["limit_in_s_earliest"] <= forecast["limit_in_s"] <= forecast["limit_in_s_latest"], forecast
    assert forecast["limit_in_s_earliest"] * (1 - SLACK) - LATE_S <= truth_s, (forecast, truth_s)
    assert truth_s <= forecast["limit_in_s_latest"] * (1 + SLACK) + LATE_S, (forecast, truth_s)


def check_rate(forecast, rate):
    assert forecast["low"] * (1 - SLACK) <= rate <= forecast["high"] * (1 + SLACK), forecast
    # else anything would be right
    assert forecast["high"] - forecast["low"] < rate, forecast


def test_cgroup_until_it_is_killed(bpf, debian, memory_cgroup, start):
    rate, limit = 2 * MIB, 72 * MIB
    target = start(debian, GROWER)
    memory_cgroup.limit(limit)
    memory_cgroup.move(target.pid)
    room = limit - memory_cgroup.used()
    tracer = Tracer.json(target, check=False)
    grow(target, 2)
    predicted = []
    while True:
        snapshot = tracer.snapshot()
        came = time.monotonic()
        process = process_of(snapshot, target.pid)
        if process["gone"] or snapshot["final"]:
            break
        assert process["memory_limit"]["kind"] == "cgroup" and process["memory_limit"]["bytes"] == limit
        assert process["memory_limit"]["shared_by"] == 1
        if process["forecast"]["trend"] == "growing":
            predicted.append((process, came, memory_cgroup.used() if target.alive() else limit))
    died = time.monotonic()
    assert target.wait() == -signal.SIGKILL
    assert tracer.wait() == 4
    # five intervals are enough to know; it lived for some thirty
    assert len(predicted) >= 15, predicted
    for process, came, used in predicted:
        check(process["forecast"], (limit - used) / rate)
        check(process["forecast"], died - came)
        assert abs(process["memory_limit"]["headroom_bytes"] - (limit - used)) < rate * LATE_S
    check_rate(predicted[-1][0]["forecast"], rate)
    restart = predicted[-1][0]["forecast"]["restart_every_s"]
    assert 0.3 * room < restart * rate <= 0.8 * (1 + SLACK) * room


def test_workers_share_a_limit(bpf, debian, memory_cgroup, start):
    limit = 512 * MIB
    targets = [start(debian, GROWER) for _ in range(2)]
    memory_cgroup.limit(limit)
    for target in targets:
        memory_cgroup.move(target.pid)
    tracer = Tracer("--json", "-i", 1, "-p", ",".join(str(target.pid) for target in targets))
    with tracer:
        for target in targets:
            tracer.attached()
        for target in targets:
            grow(target, 2)
        growing(tracer, targets[0].pid)
        growing(tracer, targets[1].pid)
        process = process_of(tracer.take(4)[-1], targets[0].pid)
        used = memory_cgroup.used()
        for target in targets:
            stop(target)
        tracer.stop()
    assert process["memory_limit"]["shared_by"] == 2
    check_rate(process["forecast"], 2 * MIB)
    check(process["forecast"], (limit - used) / (4 * MIB))
    # alone it would take twice as long
    assert process["forecast"]["limit_in_s_latest"] < 1.5 * (limit - used) / (4 * MIB)


def test_memory_high(bpf, debian, memory_cgroup, start):
    if not memory_cgroup.v2:
        pytest.skip("memory.high is of cgroup v2; its reading is tested in tests/unit/os/test_mem_limit.c")
    target = start(debian, GROWER)
    memory_cgroup.limit(512 * MIB)
    memory_cgroup.high(256 * MIB)
    memory_cgroup.move(target.pid)
    tracer = Tracer.json(target)
    limit = process_of(tracer.snapshot(), target.pid)["memory_limit"]
    tracer.stop()
    assert (limit["kind"], limit["bytes"]) == ("cgroup-high", 256 * MIB)


def test_address_space(bpf, debian, start):
    target = start(debian, GROWER)
    limit = status_kb(target.pid, "VmSize") * 1024 + 200 * MIB
    resource.prlimit(target.pid, resource.RLIMIT_AS, (limit, limit))
    tracer = Tracer.json(target)
    grow(target, 2)
    growing(tracer, target.pid)
    process, _ = growing(tracer, target.pid)
    left = limit - status_kb(target.pid, "VmSize") * 1024
    stop(target)
    assert (process["memory_limit"]["kind"], process["memory_limit"]["bytes"]) == ("address-space", limit)
    assert process["memory_limit"]["partial"] is False
    check_rate(process["forecast"], 2 * MIB)
    check(process["forecast"], left / (2 * MIB))
    tracer.stop()


def test_it_is_said_below_the_process(bpf, debian, start):
    target = start(debian, GROWER)
    limit = status_kb(target.pid, "VmSize") * 1024 + 400 * MIB
    resource.prlimit(target.pid, resource.RLIMIT_AS, (limit, limit))
    tracer = Tracer("-i", 1, target=target)
    tracer.attached()
    grow(target, 2)
    line = tracer.out.wait_for(lambda text: text.startswith("  RSS +"))
    stop(target)
    assert line, tracer.out.text()
    tracer.kill(signal.SIGINT)
    assert tracer.wait() == 0
    for part in ("MiB/s; address space limit ", " reached in ", " min", "; restart every ", " keeps it alive"):
        assert part in line, line


def test_what_does_not_grow_has_no_forecast(bpf, debian, start):
    target = start(debian, os.path.join(CORPUS, "healthy", "churn.py"))
    target.command("round 5000")
    tracer = Tracer.json(target)
    assert process_of(tracer.snapshot(), target.pid)["forecast"]["trend"] == "unknown"
    target.send("run 600 20")
    deadline = time.monotonic() + PATIENCE
    while process_of(tracer.snapshot(), target.pid)["forecast"]["trend"] == "unknown":
        assert time.monotonic() < deadline
    forecast = process_of(tracer.take(5)[-1], target.pid)["forecast"]
    stop(target)
    tracer.stop()
    assert forecast["trend"] == "not growing", forecast
    assert forecast["low"] <= 0 <= forecast["high"] or forecast["high"] < 0
    assert all(forecast[key] is None for key in ("limit_in_s", "limit_in_s_earliest", "limit_in_s_latest", "restart_every_s"))


def test_a_sawtooth_has_no_forecast(bpf, debian, start):
    """What grows by 2 MiB a report and gives it all back at every fourth."""
    target = start(debian, GROWER)
    tracer = Tracer.json(target)
    sizes = []
    for number in range(18):
        process = process_of(tracer.snapshot(), target.pid)
        sizes.append(process["rss_bytes"])
        target.command("free" if number % 4 == 3 else "round 32")
    tracer.stop()
    assert max(sizes) - min(sizes) > 5 * MIB
    assert process["forecast"]["trend"] == "not growing", (process["forecast"], sizes)
    assert process["forecast"]["low"] < 0 < process["forecast"]["high"]


def test_from_another_cgroup_namespace(bpf, debian, memory_cgroup, start):
    """There the paths of others begin with dots, and so does what is mounted."""
    target = start(debian, GROWER)
    memory_cgroup.limit(256 * MIB)
    memory_cgroup.move(target.pid)
    tracer = Tracer("--json", "-i", 1, "-d", 1, target=target, argv0=["unshare", "--cgroup", PYLEAK])
    limit = process_of(tracer.finish(), target.pid)["memory_limit"]
    assert (limit["kind"], limit["bytes"], limit["partial"]) == ("cgroup", 256 * MIB, False)


def test_from_inside_a_container(bpf, debian, memory_cgroup, start):
    """Its own cgroup looks like the root there; that above it has a lower limit, which nobody inside can see."""
    if memory_cgroup.v2:
        write(memory_cgroup.place, "cgroup.subtree_control", "+memory")
    target = start(debian, GROWER)
    memory_cgroup.limit(1 << 30)
    memory_cgroup.limit(2 << 30, memory_cgroup.inside)
    memory_cgroup.move(target.pid)
    mount = "mount -t cgroup2 none" if memory_cgroup.v2 else "mount -t cgroup -o memory none"
    tracer = Tracer("--json", "-i", 1, "-d", 1, target=target, argv0=[
        "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare --cgroup --mount sh -c "$@"', memory_cgroup.inside,
        'umount --recursive --lazy /sys/fs/cgroup && %s /sys/fs/cgroup && exec "$@"' % mount, "sh", PYLEAK])
    limit = process_of(tracer.finish(), target.pid)["memory_limit"]
    assert (limit["kind"], limit["bytes"]) == ("cgroup", 2 << 30)
    assert limit["partial"] is True


def test_a_cgroup_that_cannot_be_seen_is_unknown(bpf, debian, memory_cgroup, start):
    target = start(debian, GROWER)
    memory_cgroup.limit(256 * MIB)
    memory_cgroup.move(target.pid)
    tracer = Tracer("--json", "-i", 1, target=target, argv0=[
        "unshare", "--mount", "sh", "-c", 'umount --recursive --lazy /sys/fs/cgroup && exec "$@"', "sh", PYLEAK])
    tracer.attached()
    grow(target, 2)
    process, _ = growing(tracer, target.pid)
    stop(target)
    tracer.stop()
    assert process["memory_limit"] is None
    assert process["forecast"]["rss_bytes_per_s"] > 0
    assert process["forecast"]["limit_in_s"] is None and process["forecast"]["restart_every_s"] is None
