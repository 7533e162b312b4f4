# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Budget mode: bounded, right within what it says of itself, and nothing is left of a burst."""
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from memory import becomes, code
from process import CORPUS, HERE, PATIENCE, Tracer, dearness, lossless
from truth import Truth, brief

BUSY = os.path.join(HERE, "programs", "busy.py")
PASSING = os.path.join(HERE, "programs", "passing.py")
LEAK = os.path.join(CORPUS, "leaks", "bytes_kept.py")
LARGE = os.path.join(CORPUS, "leaks", "large_in_churn.py")
GROWS = os.path.join(CORPUS, "leaks", "bytearray_growing.py")
ONE_OF_MANY = os.path.join(CORPUS, "leaks", "one_of_many.py")
BUDGET = 1
RUN = "run 1000 1000000"  # faster than it can


def in_time_s():
    return 60 * dearness()


def line_of(word):
    with open(BUSY, encoding="utf-8") as source:
        lines = [number for number, line in enumerate(source, 1) if line.rstrip().endswith("  # " + word)]
    assert len(lines) == 1, (word, lines)
    return lines[0]


@pytest.fixture(params=["debian", "shared"])
def python(request, usable):
    """The system's own, which inlines its allocator, and the newest that is a shared library."""
    if request.param == "debian":
        found = [each for each in usable if each.origin == "debian"]
    else:
        found = [each for each in usable if each.shared and each.version >= (3, 11)][-1:]
    return found[0] if found else pytest.skip("no such interpreter is here")


def budget(target, *args, interval=1, mode=None, **more):
    """Attached, in the tool's own default mode."""
    return Tracer.json(target, "-n", 5000, *args, interval=interval, mode=mode, **more)


def rows_of(snapshot, kind, pid=None):
    return [row for row in snapshot["growers"] if (row["type"] or "").rpartition(".")[2] == kind and pid in (None, row["pid"])]


def at(snapshot, kind, word):
    """The row of a line of the program; None: there is none (yet)."""
    rows = [row for row in rows_of(snapshot, kind) if row["stack"] and row["stack"][0]["file"] == BUSY
            and row["stack"][0]["line"] == line_of(word)]
    assert len(rows) <= 1, brief(snapshot)
    return rows[0] if rows else None


def growing(snapshot, kind):
    return sum(row["verdict"] == "growing" for row in rows_of(snapshot, kind))


def until(tracer, test, seconds=None):
    """The first snapshot that passes."""
    while True:
        snapshot = tracer.snapshot()
        if test(snapshot):
            return snapshot
        assert snapshot["elapsed_s"] < (seconds or in_time_s()), brief(snapshot)


def within(row, objects):
    """As near to the truth as three times the 95 % interval, or a tenth."""
    share = max(3 * row["bytes_error"] / row["bytes"], 0.1)
    return abs(row["objects"] - objects) <= share * row["objects"]


def stop_run(target):
    target.send("stop")
    return target.answer()["rounds"]


def in_budget(snapshot, processes=1, sampled_most=0.5):
    overhead = snapshot["overhead"]
    assert overhead["bursts"] > processes and overhead["samples"] > 0, overhead
    assert 0 < overhead["sampled_fraction"] < sampled_most, overhead
    assert 0 < overhead["target_cpu_mean_pct"] <= 1.5 * BUDGET * processes, overhead


# -- which mode -------------------------------------------------------------------------------------------------

def test_default_of_attaching(debian, bpf, start):
    target = start(debian, LEAK)
    tracer = budget(target)
    assert tracer.snapshot()["mode"] == "budget"
    assert "at most 1 % of a CPU" in tracer.err.text() and "at most 10 ms" in tracer.err.text()
    assert tracer.stop()["mode"] == "budget"
    tracer = budget(target, mode="exact")
    assert "sampled_fraction" not in tracer.stop()["overhead"]
    assert {snapshot["mode"] for snapshot in tracer.snapshots} == {"exact"}


@pytest.mark.parametrize("args,mode", [([], "exact"), (["--mode", "budget"], "budget"), (["--budget", "5"], "budget")])
def test_default_of_run(args, mode, debian, bpf, tmp_path):
    report = tmp_path / "report"
    done = subprocess.run([bpf, "run", "--json", "-o", str(report)] + args + ["--", debian.path, "-c", "kept = [{} for _ in range(300)]"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["mode"] == mode


# -- is it right --------------------------------------------------------------------------------------------------

def test_reports_do_not_wait_for_a_burst(python, bpf, start):
    """What has been gained is read from the heap, whether the gate was open meanwhile or not."""
    target = start(python, LEAK)
    tracer = budget(target, "--budget", "0.05", interval=2)
    target.send("run 1000 50")
    until(tracer, lambda snapshot: snapshot["overhead"]["sampled_fraction"] < 1 and snapshot["outstanding"]["bytes"] > 0)
    shots = tracer.take(6)[-6:]
    assert shots[-1]["overhead"]["bursts"] - shots[0]["overhead"]["bursts"] < 3, "it was open in each interval"
    amounts = [snapshot["outstanding"]["bytes"] for snapshot in shots]
    assert all(before < after for before, after in zip(amounts, amounts[1:])), amounts
    stop_run(target)
    tracer.stop()


def too_little():
    """In percent: of what one_of_many.py makes a part only can be recorded, whatever a hit takes here; a leak is found in it in time."""
    return "%.2f" % (dearness() / 5)


def found_in_a_part(python, start, program):
    """(target, tracer, truth) when the leak is the first grower, and there were some lookouts (where hits are cheap, it may be found in the first)."""
    target = start(python, program)
    truth = Truth(program, python.version)
    tracer = budget(target, "--budget", too_little())
    target.send("run 1000 %g" % truth.rate)

    def found(snapshot):
        first = snapshot["growers"][0] if snapshot["growers"] else None
        return first and truth.fits(first) and first["verdict"] == "growing" and snapshot["overhead"]["lookouts"] > 2

    until(tracer, found)
    return target, tracer, truth


def test_one_of_many_of_its_class(python, bpf, start):
    """Bursts see too few of them; in a lookout all are seen, and which of them were another one's place soon after."""
    target, tracer, truth = found_in_a_part(python, start, ONE_OF_MANY)
    stop_run(target)
    snapshot = tracer.fresh()
    assert snapshot["overhead"]["sampled_fraction"] < 1, snapshot["overhead"]
    assert 0 < snapshot["overhead"]["target_cpu_mean_pct"] <= 1.5 * float(too_little()), snapshot["overhead"]
    rows = rows_of(snapshot, "Entry")
    assert sum(row["objects"] for row in rows if not truth.fits(row)) <= 0.2 * sum(row["objects"] for row in rows), brief(snapshot)
    lossless(tracer.stop())


def test_large_blocks_in_heavy_churn(python, bpf, start):
    """What is too large for pymalloc is not in the heap, and bursts see one allocation in many thousands: lookouts see those that are large."""
    target, tracer, truth = found_in_a_part(python, start, LARGE)
    rounds = stop_run(target)
    for _ in range(4):  # until all has been looked at
        snapshot = tracer.fresh()
    assert 0 < snapshot["overhead"]["target_cpu_mean_pct"] <= 1.5 * float(too_little()), snapshot["overhead"]
    rows = [row for row in snapshot["growers"] if truth.fits(row)]
    leaked, error = sum(row["bytes"] for row in rows), sum(row["bytes_error"] for row in rows)
    # what came before memory had grown enough to ask for lookouts may be missing
    assert 40000 * rounds - 6e6 - 2 * error <= leaked <= 40000 * rounds * 1.1 + 2 * error, (rounds, leaked, error, brief(snapshot))
    others = sum(row["bytes"] for row in snapshot["growers"] if row not in rows and row["type"] == "(buffer)")
    assert others <= 0.2 * leaked, brief(snapshot)
    lossless(tracer.stop())


def test_a_buffer_that_moves_stays_in_one_row(python, bpf, start):
    """Bursts see where in the interpreter it is moved, lookouts only which line does it."""
    large = 4 << 20
    target = start(python, GROWS)
    truth = Truth(GROWS, python.version)
    tracer = budget(target, "--budget", too_little())
    target.send("run 1000 %g" % truth.rate)
    until(tracer, lambda snapshot: snapshot["overhead"]["lookouts"] > 2 and any(row["bytes"] > large and truth.fits(row) for row in snapshot["growers"]))
    shots = tracer.take(10)[-10:]
    names = {row["type"] for snapshot in shots for row in snapshot["growers"] if row["bytes"] > large and truth.fits(row)}
    assert len(names) == 1, names
    stop_run(target)
    lossless(tracer.stop())


def test_a_quiet_process_is_recorded_whole(python, bpf, start):
    """It never spends its budget: the numbers are those of exact mode. Where a hit takes 5 us one round of work is more than a pause of 10 ms pays for."""
    target = start(python, LEAK)
    tracer = budget(target, "--max-pause", "100ms")
    target.send("run 1000 1")
    tracer.take(6)
    rounds = stop_run(target)
    snapshot = tracer.fresh()
    assert snapshot["overhead"]["sampled_fraction"] == 1, snapshot["overhead"]
    assert snapshot["overhead"]["bursts"] == 1 and snapshot["overhead"]["target_cpu_mean_pct"] <= BUDGET
    assert {row["bytes_error"] for row in snapshot["growers"]} == {0}
    truth = Truth(LEAK, python.version)
    assert [row for row in snapshot["growers"] if truth.fits(row)], brief(snapshot)
    truth.check_amount(snapshot, rounds)
    lossless(tracer.stop())


def test_a_service_is_opened_seldom(debian, bpf, start):
    """Each opening makes a request or two slower, and few may be; the leak is found all the same."""
    target = start(debian, BUSY, "one")
    tracer = budget(target)
    target.send("run 1000 100")
    first = until(tracer, lambda snapshot: snapshot["elapsed_s"] >= 14)
    last = until(tracer, lambda snapshot: snapshot["elapsed_s"] >= first["elapsed_s"] + 36 and growing(snapshot, "Kept"))
    stop_run(target)
    each = (last["elapsed_s"] - first["elapsed_s"]) / (last["overhead"]["bursts"] - first["overhead"]["bursts"])
    assert each > 8, (first["overhead"], last["overhead"])
    assert at(last, "Kept", "one")["verdict"] == "growing", brief(last)
    in_budget(tracer.stop())


def test_an_allocator_without_a_heap(debian, bpf, start):
    """PYTHONMALLOC=malloc: nothing to count in, the line and the type are found all the same."""
    target = start(debian, LEAK, env={"PYTHONMALLOC": "malloc"})
    truth = Truth(LEAK, debian.version)
    tracer = budget(target)
    target.send("run 120 %g" % truth.rate)
    until(tracer, lambda snapshot: snapshot["growers"] and truth.fits(snapshot["growers"][0])
          and snapshot["growers"][0]["verdict"] == "growing")
    stop_run(target)
    in_budget(tracer.stop())


@pytest.mark.parametrize("mode", ["budget", "exact"])
def test_an_allocator_that_cannot_be_followed(mode, debian, bpf, start):
    """It is replaced, while traced, by code that is in no file: said, and the tracer goes on."""
    target = start(debian, os.path.join(HERE, "programs", "thunks.py"))
    tracer = budget(target, mode=mode)
    target.command("round 500")
    target.command("replace")
    target.command("round 500")
    until(tracer, lambda snapshot: "cannot be followed" in (snapshot["processes"][0].get("coverage_note") or ""))
    target.command("round 500")
    tracer.take(2)
    tracer.stop()
    target.check_alive()


@pytest.mark.parametrize("fate", ["dropped", "kept"])
def test_garbage_that_is_not_collected_yet(fate, debian, bpf, start):
    """It grows until a full collection, and is no leak; the same objects, held, are one."""
    target = start(debian, os.path.join(HERE, "programs", "old_garbage.py"), fate)
    tracer = budget(target, interval=2)
    target.send("run 1000 60")
    if fate == "kept":
        until(tracer, lambda snapshot: growing(snapshot, "Node"))
    else:
        # twice as long as it takes to tell that something grows
        snapshots = tracer.take(12)
        assert sum(row["objects"] for row in rows_of(snapshots[-1], "Node")) > 10000, brief(snapshots[-1])
        assert not any(growing(snapshot, "Node") for snapshot in snapshots), brief(snapshots[-1])
        assert snapshots[-1]["overhead"]["sampled_fraction"] < 1
    stop_run(target)
    tracer.stop()


def test_forked_workers(debian, bpf, start):
    """Each has books, a gate and a budget of its own."""
    target = start(debian, BUSY, "fork")
    tracer = budget(target, "--children")
    pids = target.command("fork 2")["pids"]
    until(tracer, lambda snapshot: all(growing(snapshot, "Kept%d" % number) and at(snapshot, "Kept%d" % number, "own")
                                       for number in range(len(pids))))
    kept = target.command("end")["kept"]
    snapshot = tracer.fresh()
    assert sorted(process["pid"] for process in snapshot["processes"]) == sorted(pids + [target.pid])
    for number, pid in enumerate(pids):
        rows = rows_of(snapshot, "Kept%d" % number)
        assert {row["pid"] for row in rows} == {pid}, brief(snapshot)
        # what it made before the tracer had it is not counted
        assert 0.5 * kept[number] < sum(row["objects"] for row in rows) <= kept[number], (kept, brief(snapshot))
    in_budget(snapshot, len(pids) + 1)
    tracer.stop()


# -- what it leaves ---------------------------------------------------------------------------------------------

class Gate:
    """Of a process, as it is from outside: is there a probe in a function (that frees objects), or in the padding in front of it?"""

    def __init__(self, target, function=None):
        self.place = (function or target.command("tables")["obj"][3]) - 16
        self.mem = open("/proc/%d/mem" % target.pid, "rb", buffering=0)
        self.shut = self._read()

    def _read(self):
        self.mem.seek(self.place)
        return self.mem.read(96)

    def wait(self, is_open):
        # probes that were removed slowly, on a busy machine, have cost what must be earned again first
        deadline = time.monotonic() + 4 * PATIENCE
        while (self._read() != self.shut) != is_open:
            assert time.monotonic() < deadline, "the gate stays %s" % ("shut" if is_open else "open")
            time.sleep(0.0005)


def tables_of(target):
    answer = target.command("tables")
    return {domain: answer[domain] for domain in ("raw", "mem", "obj")}


def end(tracer, number, target, text, turn):
    """By a signal; no probe stays in the target's TEXT."""
    tracer.kill(number)
    assert tracer.wait() == (0 if number == signal.SIGINT else -signal.SIGKILL)
    assert becomes(lambda: code(target.pid), text) == text, "turn %d: a probe stays" % turn


@pytest.mark.parametrize("number,rounds", [(signal.SIGKILL, int(os.environ.get("PYLEAK_KILLS", "10"))), (signal.SIGINT, 4)], ids=["kill -9", "Ctrl-C"])
def test_nothing_is_left_of_a_burst(number, rounds, corner, start):
    """The tracer ends at any moment of a burst: no probe stays, the tables are as they were, the process goes on."""
    chance = random.Random(20261121)
    target = start(corner[1], BUSY, "one")
    tables, text = tables_of(target), code(target.pid)
    for turn in range(rounds):
        gate = Gate(target)
        tracer = budget(target, "--budget", str(BUDGET if turn % 2 else 10), check=False)
        target.send(RUN)
        gate.wait(is_open=True)
        gate.wait(is_open=False)
        gate.wait(is_open=True)
        time.sleep(chance.uniform(0, 0.03))  # any moment of what lasts some 10 ms, and the time after
        end(tracer, number, target, text, turn)
        assert stop_run(target) > 0
        assert becomes(lambda: tables_of(target), tables) == tables
        target.command("free")
    target.check_alive()


def address_of(pid, name):
    """Of an exported function of the interpreter."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        files = {line.split()[5]: int(line.split("-")[0], 16) for line in reversed(list(maps)) if len(line.split()) > 5}
    for path in (path for path in files if "python" in os.path.basename(path) and ".cpython-" not in path):
        found = re.search(r"^([0-9a-f]+) T %s$" % name, subprocess.run(["nm", "-D", path], stdout=subprocess.PIPE, check=True).stdout.decode(), re.M)
        if found:
            fixed = b" EXEC " in subprocess.run(["readelf", "-h", path], stdout=subprocess.PIPE, check=True).stdout
            return int(found.group(1), 16) + (0 if fixed else files[path])
    raise AssertionError("no %s in %s" % (name, sorted(files)))


@pytest.mark.parametrize("number,rounds", [(signal.SIGKILL, 4), (signal.SIGINT, 2)], ids=["kill -9", "Ctrl-C"])
def test_nothing_is_left_of_a_lookout(number, rounds, python, bpf, start):
    chance = random.Random(20261128)
    target = start(python, ONE_OF_MANY)
    text, gate = code(target.pid), Gate(target, address_of(target.pid, "PyType_GenericAlloc"))
    target.send("run 1000 20")
    for turn in range(rounds):
        tracer = budget(target, "--budget", too_little(), check=False)
        gate.wait(is_open=True)
        time.sleep(chance.uniform(0, 0.2))  # any moment of what lasts some 100 ms, and the time after
        end(tracer, number, target, text, turn)
    assert stop_run(target) > 0
    target.check_alive()


@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "may write"])
def test_read_only_bursts_write_nothing(read_only, debian, bpf, start):
    """The tables are asked for again and again while bursts come and go. Without --read-only the same look sees them redirected."""
    target = start(debian, BUSY, "one")
    tables = tables_of(target)
    tracer = budget(target, "--budget", "10", *(["--read-only"] if read_only else []))
    seen, shots = [], []
    deadline = time.monotonic() + in_time_s()
    while time.monotonic() < deadline:
        target.command("round 40")
        seen.append(tables_of(target))
        while True:
            line = tracer.out.next(time.monotonic())
            if line is None:
                break
            shots.append(tracer.parse(line))
        if shots and growing(shots[-1], "Kept") and (read_only or seen.count(tables) < len(seen)):
            break
    assert growing(shots[-1], "Kept"), brief(shots[-1])
    assert shots[-1]["overhead"]["bursts"] > 3
    assert shots[-1]["processes"][0]["coverage"] == ("partial" if read_only else "full")
    changed = sum(each != tables for each in seen)
    assert len(seen) > 100
    assert changed == 0 if read_only else changed > 0, (changed, len(seen))
    tracer.stop()
    assert tables_of(target) == tables


@pytest.mark.parametrize("how, pct", [("kept", 1), ("replaced", 1), ("replaced", 0.2)])
def test_what_is_replaced_all_the_time(how, pct, debian, bpf, start):
    """As many floats more in both. From outside the heap looks the same: blocks with a float, more of them each time. With a small budget a verdict could come before it was asked."""
    target = start(debian, PASSING, how)
    tracer = budget(target, "--budget", pct)
    target.send("run 1000 20")
    accused = []

    def seen(snapshot):
        accused.extend(growing(snapshot, "float") * [snapshot["elapsed_s"]])
        return len(accused) > 2 or (how == "replaced" and sum(row["objects"] for row in rows_of(snapshot, "float")) > 400)

    snapshot = until(tracer, seen)
    stop_run(target)
    assert bool(accused) == (how == "kept"), brief(snapshot)
    in_budget(tracer.stop(), sampled_most=1)  # where hits are cheap, most of the little that it does is recorded
