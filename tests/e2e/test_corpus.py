# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exact mode: the first grower is the leak, with the exact amount; healthy programs are left in peace.

Each program runs on several interpreters at once, and each of these processes is judged by itself.
"""
import concurrent.futures
import contextlib
import datetime
import os
import signal
import time
import traceback

import pytest

import interpreters
from conftest import some
from process import PATIENCE, Tracer, lossless
from truth import Truth, brief

TOP = 30  # rows of each process
TOGETHER = 3  # processes of one tracer
BUSY_TIMES = 3
SETTLED_S = 2  # and as long as it took to settle: until then its numbers may have risen for most of what is known of them
JUDGED_S = 3
PAUSE_S = 0.3  # more than this may look as if a leak had ended


def clock(snapshot):
    """When it was written, as time.time() says it."""
    return datetime.datetime.strptime(snapshot["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()


class Case:
    """The program in one interpreter, and its tracer's view of it."""

    def __init__(self, truth, target, name):
        self.truth = truth
        self.target = target
        self.name = name
        self.tracer = None

    def own(self, snapshot):
        """What a snapshot says of this process, as if it were the only one."""
        rows = [row for row in snapshot["growers"] if row["pid"] == self.target.pid][:TOP]
        processes = [process for process in snapshot["processes"] if process["pid"] == self.target.pid]
        assert len(processes) == 1, "%d entries of this process" % len(processes)
        return dict(snapshot, growers=[dict(row, rank=rank) for rank, row in enumerate(rows, 1)], processes=processes)

    def run(self):
        self.began = time.time()
        self.silent_from = None if self.truth.settles else 0
        self.target.send("run 120 %g" % self.truth.rate)

    def in_time(self, times=1):
        """The first snapshot when it has run for as long as it asks for, or some times that."""
        for snapshot in self.tracer.snapshots:
            if clock(snapshot) - self.began >= times * self.truth.seconds:
                return self.own(snapshot)
        while clock(self.tracer.snapshot()) - self.began < times * self.truth.seconds:
            pass
        return self.own(self.tracer.snapshots[-1])

    def settled(self):
        """From when on nothing may be called growing. A full cache that is filled anew looks like growth until that has been done, however long it takes."""
        if self.silent_from is None:
            line = self.target.out.wait_for(lambda line: line.startswith("settled "), 2 * PATIENCE)
            assert line, "%s has not settled" % self.name
            at = float(line.split()[1])
            self.silent_from = at + max(SETTLED_S, at - self.began)
        return self.silent_from

    def wait_settled(self):
        while clock(self.tracer.snapshots[-1]) < self.settled() + JUDGED_S:
            self.tracer.snapshot()

    def found(self, snapshot):
        rows = snapshot["growers"]
        return rows and self.truth.fits(rows[0]) and rows[0]["verdict"] == "growing"

    def last_running(self):
        """The last report, unless it came, on a busy machine, when the program had stood still for a while: then the last one before."""
        running = [snapshot for snapshot in self.tracer.snapshots[:-1] if clock(snapshot) < self.stopped][-1]
        stopped_s = running["elapsed_s"] + self.stopped - clock(running)
        final = self.tracer.snapshots[-1]
        return self.own(final if final["elapsed_s"] - stopped_s < PAUSE_S else running)

    def last(self):
        final = self.own(self.tracer.snapshots[-1])
        assert final["final"], "no last report"
        lossless(final)
        return final


class Everywhere:
    """The program on all interpreters that it is written for. Failures are gathered: none hides another."""

    def __init__(self):
        self.cases = []
        self.tracers = []
        self.failures = []

    @contextlib.contextmanager
    def judging(self, name):
        try:
            yield
        except AssertionError as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.failures.append("%s: %s:%d: %s\n%s" % (name, os.path.basename(place.filename), place.lineno, place.line, error))

    def each(self, check):
        for case in self.cases:
            with self.judging(case.name):
                check(case)

    def start(self, program, found, start):
        for interpreter in found:
            with self.judging(interpreters.name(interpreter)):
                truth = Truth(program, interpreter.version)
                self.cases.append(Case(truth, start(interpreter, program), interpreters.name(interpreter)))

    def trace(self):
        """One process alone is counted by other code than several: the first has a tracer of its own. And those of one tracer must stop together."""
        rest = self.cases[1:]
        for cases in [self.cases[:1]] + [rest[at:at + TOGETHER] for at in range(0, len(rest), TOGETHER)]:
            if not cases:
                continue
            self.tracers.append(Tracer("--json", "-i", 1, "--mode", "exact", "-n", 5000,
                                       "-p", ",".join(str(case.target.pid) for case in cases)))
            for case in cases:
                case.tracer = self.tracers[-1]

    def of(self, tracer):
        return [case for case in self.cases if case.tracer is tracer]

    def run(self):
        """Each from when it is traced on: its tracer's clock goes already."""
        def run(tracer):
            tracer.attached()
            for case in self.of(tracer):
                case.run()

        with concurrent.futures.ThreadPoolExecutor(len(self.tracers) or 1) as pool:
            for done in [pool.submit(run, tracer) for tracer in self.tracers]:
                done.result()

    def stop(self):
        """Ends the runs, and each tracer with its own."""
        for tracer in self.tracers:
            for case in self.of(tracer):
                case.stopped = time.time()
                case.target.send("stop")
            for case in self.of(tracer):
                with self.judging(case.name):
                    case.done = case.target.answer()
            tracer.kill(signal.SIGINT)
        for tracer in self.tracers:
            with self.judging("tracer"):
                tracer.finish()
                for snapshot in tracer.snapshots:
                    assert [row["rank"] for row in snapshot["growers"]] == list(range(1, len(snapshot["growers"]) + 1))
        self.each(lambda case: case.target.check_alive())

    def close(self):
        for tracer in self.tracers:
            tracer.close()
        for case in self.cases:
            case.target.close()


@pytest.fixture
def judge(program, usable, bpf, start):
    """judge(check): CHECK is called with the running program; where that keeps a processor busy, once for each few interpreters."""
    def run(check):
        found = some([each for each in usable if Truth(program, each.version).runs], os.path.basename(program))
        failures = []
        while found:
            at_once = Truth(program, found[0].version).at_once or len(found)
            crowd = Everywhere()
            try:
                crowd.start(program, found[:at_once], start)
                crowd.trace()
                crowd.run()
                check(crowd)
            finally:
                crowd.close()
            failures += crowd.failures
            found = found[at_once:]
        if failures:
            pytest.fail("\n\n".join(["%d failures" % len(failures)] + failures), pytrace=False)
    return run


def check_growing(case):
    during = case.in_time()
    # others on the machine let the program leak by fits and starts
    if not case.found(during):
        during = case.in_time(BUSY_TIMES)
    case.truth.check_first(during)
    assert during["growers"][0]["verdict"] == "growing", brief(during)


def check_leaked(case):
    final, running = case.last(), case.last_running()
    first = case.truth.check_first(running)
    assert first["verdict"] == "growing", brief(running)
    case.truth.check_amount(final, case.done["rounds"])
    assert final["outstanding"]["bytes"] >= first["bytes"]


def check_silent(case):
    case.last()
    snapshots = case.tracer.snapshots
    for snapshot in [each for each in snapshots if clock(each) >= case.settled()] if case.truth.silent == "always" else snapshots[-4:]:
        accused = [row for row in case.own(snapshot)["growers"] if row["verdict"] == "growing"]
        assert not accused, brief(dict(snapshot, growers=accused))


@pytest.mark.corpus("leaks")
def test_leak_is_first(judge):
    def leak(crowd):
        crowd.each(check_growing)
        crowd.stop()
        crowd.each(check_leaked)

    judge(leak)


@pytest.mark.corpus("healthy")
def test_healthy_is_silent(judge):
    def churn(crowd):
        crowd.each(Case.in_time)
        crowd.each(Case.wait_settled)
        crowd.stop()
        crowd.each(check_silent)

    judge(churn)
