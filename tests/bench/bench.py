# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What tracing costs: the same requests in the same process, by turns plain and with each tool; ratios.

bench.py [--seconds S] [--rounds N] [PYTHON...]    PYLEAK and PYLEAK_BENCH_PROBES name the two binaries
"""
import argparse
import os
import signal
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Target:
    def __init__(self, python):
        self.process = subprocess.Popen([python, os.path.join(HERE, "workload.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, universal_newlines=True)
        _, pid, self.version = self.process.stdout.readline().split()
        self.pid = int(pid)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().split()

    def ask(self, command):
        self.tell(command)
        return self.answer()

    def seconds(self, request, seconds):
        """Of CPU for one request, the median: on a shared machine the wall tells of others."""
        return float(self.ask("run %s %g" % (request, seconds))[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Tool:
    """A tracer of the target, from its line "tracing" to its end."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        for line in self.process.stderr:
            if "tracing" in line:
                return
        raise SystemExit("%s did not start" % argv)

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.stderr.read()
        self.process.wait()


def variants(pid):
    pyleak, probes = os.environ["PYLEAK"], os.environ["PYLEAK_BENCH_PROBES"]
    return [
        ("plain", None),
        ("pyleak-bpf --mode exact", [pyleak, "-p", str(pid), "--mode", "exact", "-i", "5"]),
        ("floor: bare probes, same places", [probes, str(pid), "same"]),
        ("bare probes at function entries", [probes, str(pid), "entry"]),
        ("tracemalloc, 1 frame", 1),
        ("tracemalloc, 25 frames", 25),
    ]


def once(target, how, request, seconds):
    tool = Tool(how) if isinstance(how, list) else None
    if isinstance(how, int):
        target.ask("tracemalloc %d" % how)
    took = target.seconds(request, seconds)
    if tool:
        tool.close()
    if isinstance(how, int):
        target.ask("tracemalloc 0")
    return took


def measure(target, request, seconds, rounds):
    """Seconds by variant, one value a round; every other round in the opposite order."""
    took = {}
    for i in range(rounds):
        for name, how in variants(target.pid)[::-1 if i % 2 else 1]:
            took.setdefault(name, []).append(once(target, how, request, seconds))
    return took


def ratio(took, name, to):
    """The median over the rounds: each pair was measured within the same seconds."""
    return statistics.median(a / b for a, b in zip(took[name], took[to]))


def arguments(seconds, rounds, **more):
    """--seconds and --rounds with these defaults, and MORE; the interpreters."""
    parser = argparse.ArgumentParser()
    for name, default in dict(seconds=seconds, rounds=rounds, **more).items():
        parser.add_argument("--" + name, type=type(default), default=default)
    parser.add_argument("pythons", nargs="*", default=["/usr/bin/python3"])
    return parser.parse_args()


def targets(pythons, cnt=1):
    """CNT of each at once, as a list."""
    for python in pythons:
        some = [Target(python) for _ in range(cnt)]
        print("%s (%s)" % (python, some[0].version))
        yield some
        for target in some:
            target.close()


def main():
    options = arguments(seconds=2.0, rounds=5)
    for target, in targets(options.pythons):
        for request in ("mixed", "churn"):
            took = measure(target, request, options.seconds, options.rounds)
            print("  %-34s %9s   one request plain: %.3f ms" % (request, "x plain", statistics.median(took["plain"]) * 1e3))
            for name, _ in variants(target.pid):
                print("    %-32s %9.2f" % (name, ratio(took, name, "plain")))
            for to in ("floor: bare probes, same places", "tracemalloc, 25 frames"):
                print("    %-32s %9.2f" % ("exact / " + to.split(":")[0], ratio(took, "pyleak-bpf --mode exact", to)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
