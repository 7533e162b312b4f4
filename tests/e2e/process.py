# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Child processes whose lines are awaited with a deadline: the traced program and the tracer."""
import functools
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(ROOT, "tests", "corpus")
PYLEAK = os.environ.get("PYLEAK") or os.path.join(ROOT, "build", "pyleak-bpf")
if os.sep in PYLEAK:
    PYLEAK = os.path.abspath(PYLEAK)

# A loaded machine may be slow; a test that passes never waits this long.
PATIENCE = float(os.environ.get("PYLEAK_PATIENCE", "30"))


@functools.lru_cache(maxsize=None)
def dearness():
    """How many microseconds one hit takes here, at least 1: as many times longer the same budget needs for the same sample, and the kernel for its work."""
    told = subprocess.run([PYLEAK, "doctor"], stdout=subprocess.PIPE, universal_newlines=True, timeout=PATIENCE).stdout
    return max(1, float(re.search(r"cost of a probe +([0-9.]+) us", told).group(1)))


class Gone(AssertionError):
    """The stream ended before the awaited line came."""


class Lines:
    """Reads a stream in a thread, so that a line can be awaited with a deadline; keeps all of them."""

    def __init__(self, stream):
        self.seen = []
        self.raw = []
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self.raw.append(line)
            self._queue.put(line)
        self._queue.put(None)
        stream.close()

    def next(self, deadline):
        """The next line (text); None at the deadline. Raises Gone at the end of the stream."""
        try:
            line = self._queue.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if line is None:
            self._queue.put(None)
            raise Gone("the stream ended")
        text = line.decode("utf-8", "backslashreplace").rstrip("\n")
        self.seen.append(text)
        return text

    def wait_for(self, test, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while True:
            line = self.next(deadline)
            if line is None:
                return None
            if test(line):
                return line

    def drain(self, timeout=PATIENCE):
        """All lines until the stream ends."""
        deadline = time.monotonic() + timeout
        try:
            while self.next(deadline) is not None:
                pass
        except Gone:
            return True
        return False

    def text(self):
        return "".join(line.decode("utf-8", "backslashreplace") for line in self.raw)

    def bytes(self):
        return b"".join(self.raw)


class Child:
    """A process we started; ended by its own pid, whatever happens."""

    def __init__(self, argv, env=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more):
        full = dict(os.environ)
        full.update(env or {})
        self.argv = argv
        self.process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, env=full, **more)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout) if self.process.stdout else None
        self.err = Lines(self.process.stderr) if self.process.stderr else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def alive(self):
        return self.process.poll() is None

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def says(self, answer):
        """Waits for this line."""
        assert self.out.wait_for(lambda line: line == answer), (self.argv, answer, self.out.seen)

    def say(self, line, answer):
        self.send(line)
        self.says(answer)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit status; fails the test when there is none in time."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s still runs after %g s; stderr: %s" % (
                self.argv, timeout, self.err.text() if self.err else ""))
        for lines in (self.out, self.err):
            if lines:
                lines.drain(5)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except OSError:
                pass


class Target(Child):
    """A program that speaks the corpus protocol."""

    def __init__(self, python, program, *args, env=None):
        self.program = program if os.path.isabs(program) else os.path.join(CORPUS, program)
        self.pending = 0
        super().__init__([python, "-B", self.program] + list(args), env=dict({"PYTHONHASHSEED": "0"}, **(env or {})))
        line = self.out.wait_for(lambda text: text.startswith("ready "))
        if line is None:
            self.close()
            raise AssertionError("%s did not get ready: %s" % (self.argv, self.err.text()))
        assert int(line.split()[1]) == self.pid

    def answer(self, timeout=PATIENCE * 2):
        try:
            line = self.out.wait_for(lambda text: text.startswith("done "), timeout)
        except Gone:
            raise AssertionError("%s died: %s %s" % (self.argv, self.process.poll(), self.err.text()))
        assert line is not None, "no answer from %s; stderr: %s" % (self.argv, self.err.text())
        return json.loads(line[5:])

    def command(self, command, timeout=PATIENCE * 2):
        self.send(command)
        return self.answer(timeout)

    def check_alive(self):
        """It runs, and it still does what it is told."""
        assert self.alive(), "the target is gone: %s %s" % (self.process.returncode, self.err.text())
        self.command("ping")
        self.command("round 20")
        assert not self.err.seen, self.err.seen

    def close(self):
        if self.process.poll() is None:
            try:
                self.send("quit")
                self.process.wait(5)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass
        super().close()


class Tracer(Child):
    """The tool, tracing. TARGET is asked afterwards whether it is well."""

    def __init__(self, *args, target=None, check=True, env=None, stdout=subprocess.PIPE, argv0=None, mode="exact", **more):
        """MODE None: the tool's own default."""
        self.target = target
        self.check = check and target is not None
        self.snapshots = []
        argv = list(argv0 or [PYLEAK])
        if target is not None:
            argv += ["-p", str(target.pid)]
        if mode and "run" not in args[:1]:
            argv += ["--mode", mode]
        super().__init__(argv + [str(arg) for arg in args], env=env, stdin=subprocess.DEVNULL, stdout=stdout, **more)

    @classmethod
    def json(cls, target, *args, interval=1, **more):
        """The usual way: exact, JSON, attached when this returns."""
        tracer = cls("--json", "-i", interval, *args, target=target, **more)
        tracer.attached()
        return tracer

    def attached(self, timeout=PATIENCE):
        try:
            line = self.err.wait_for(lambda text: text.startswith("pyleak-bpf: tracing"), timeout)
        except Gone:
            line = None
        if line is None:
            status = self.process.poll()
            text = self.err.text()
            self.close()
            raise AssertionError("not attached: exit %s, stderr: %s" % (status, text))
        return line

    def parse(self, line):
        snapshot = json.loads(line)
        assert snapshot["schema"] == "pyleak-bpf/snapshot/1", line[:200]
        self.snapshots.append(snapshot)
        return snapshot

    def snapshot(self, timeout=PATIENCE):
        """The next one."""
        try:
            line = self.out.next(time.monotonic() + timeout)
        except Gone:
            raise AssertionError("the tracer ended: %s %s" % (self.process.poll(), self.err.text()))
        assert line is not None, "no snapshot in %g s; stderr: %s" % (timeout, self.err.text())
        return self.parse(line)

    def take(self, count):
        return [self.snapshot() for _ in range(count)]

    def fresh(self):
        """A snapshot that was begun after this call: the second that arrives from now on."""
        while True:
            try:
                line = self.out.next(time.monotonic())
            except Gone:
                raise AssertionError("the tracer ended: %s %s" % (self.process.poll(), self.err.text()))
            if line is None:
                break
            self.parse(line)
        self.snapshot()
        return self.snapshot()

    def stop(self, number=signal.SIGINT, status=0):
        """Ends it; returns the final snapshot."""
        self.kill(number)
        return self.finish(status)

    def finish(self, status=0, timeout=PATIENCE):
        """Waits for its own end; returns the final snapshot."""
        found = self.wait(timeout)
        assert found == status, "exit %s instead of %s; stderr: %s" % (found, status, self.err.text())
        done = len(self.snapshots)
        for line in self.out.seen[len(self.out.seen) - (len(self.out.raw) - done):] if len(self.out.raw) > done else []:
            self.parse(line)
        assert self.snapshots, "not one snapshot; stderr: %s" % self.err.text()
        final = self.snapshots[-1]
        assert final["final"] is True, final
        assert not any(earlier["final"] for earlier in self.snapshots[:-1])
        if self.check:
            self.target.check_alive()
        return final


def lossless(snapshot):
    assert snapshot["lost"] == {"events": 0, "stacks": 0} or not any(snapshot["lost"].values()), snapshot["lost"]
    for process in snapshot["processes"]:
        assert process["coverage"] == "full", process
