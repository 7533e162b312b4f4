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

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def seconds(self, request, seconds):
        return float(self.ask("run %s %g" % (request, seconds))[0])

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


def measure(target, request, seconds, rounds):
    ratios = {}
    plain_s = []
    for _ in range(rounds):
        plain = None
        for name, how in variants(target.pid):
            tool = Tool(how) if isinstance(how, list) else None
            if isinstance(how, int):
                target.ask("tracemalloc %d" % how)
            took = target.seconds(request, seconds)
            if tool:
                tool.close()
            if isinstance(how, int):
                target.ask("tracemalloc 0")
            if plain is None:
                plain = took
                plain_s.append(took)
            ratios.setdefault(name, []).append(took / plain)
    return statistics.median(plain_s), {name: statistics.median(values) for name, values in ratios.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("pythons", nargs="*", default=["/usr/bin/python3"])
    options = parser.parse_args()
    for python in options.pythons:
        target = Target(python)
        print("%s (%s)" % (python, target.version))
        for request in ("mixed", "churn"):
            plain, ratios = measure(target, request, options.seconds, options.rounds)
            print("  %-34s %9s   one request plain: %.3f ms" % (request, "x plain", plain * 1e3))
            for name, ratio in ratios.items():
                print("    %-32s %9.2f" % (name, ratio))
            print("    %-32s %9.2f" % ("exact / floor", ratios["pyleak-bpf --mode exact"] /
                                       ratios["floor: bare probes, same places"]))
            print("    %-32s %9.2f" % ("exact / tracemalloc, 25 frames", ratios["pyleak-bpf --mode exact"] /
                                       ratios["tracemalloc, 25 frames"]))
            sys.stdout.flush()
        target.close()


main()
