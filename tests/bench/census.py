# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How fast the census reads a heap, what it takes itself, whether it counts right; and what it costs a process that goes on working.

census.py [--objects N] [--mixed N] [--rounds N] [--seconds S] [PYTHON]
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

PYLEAK = os.environ["PYLEAK"]
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "e2e", "programs", "mass.py")


class Target:
    def __init__(self, python, allocator):
        self.process = subprocess.Popen([python, "-B", PROGRAM], env=dict(os.environ, PYTHONMALLOC=allocator), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, universal_newlines=True)
        self.pid = self.process.pid
        self.process.stdout.readline()

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line.startswith("done "), line
        return json.loads(line[5:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def read(target, *args):
    """(one reading, CPU seconds, the tool's peak of memory in MiB)"""
    child = subprocess.Popen([PYLEAK, "census", "-p", str(target.pid), "--json"] + list(args), stdout=subprocess.PIPE)
    reading = json.loads(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    assert status == 0, status
    return reading, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def speed(python, objects):
    heaps = [("%d instances" % objects, "instances %d" % objects, {"__main__.Point": objects}),
             ("%d pairs, floats" % (objects // 2), "tuples %d" % (objects // 2), {"float": objects // 2, "tuple": objects // 2}),
             ("mixed", "mixed %d" % (objects // 5), {})]
    print("%-9s %-24s %9s %9s %7s %7s %7s %9s  %s" % ("allocator", "heap", "objects", "heap MB", "s", "GB/s", "CPU s", "tool MiB", "counts"))
    for allocator in ("pymalloc", "malloc"):
        for name, command, truth in heaps:
            with Target(python, allocator) as target:
                target.ask("ping")
                before = {row["type"]: row["objects"] for row in read(target)[0]["types"]}
                target.ask(command)
                target.ask("ping")
                for args in ((), ("--sample", "5%")):
                    best = min((read(target, *args) for _ in range(3)), key=lambda found: found[1])
                    reading, cpu_s, mib = best
                    rows = {row["type"]: row for row in reading["types"]}
                    wrong = max([abs((rows[kind]["objects"] - before.get(kind, 0)) / number - 1) for kind, number in truth.items()] or [0])
                    heap = (reading["memory"]["python_live_bytes"] or 0) + (reading["memory"]["python_free_bytes"] or 0) + \
                        reading["memory"]["libc_used_bytes"]
                    took = reading["consistency"]["reading_s"]
                    print("%-9s %-24s %9d %9.0f %7.2f %7.2f %7.2f %9.0f  %s" % (
                        allocator, name + (" " + args[1] if args else ""), sum(row["objects"] for row in reading["types"]), heap / 1e6, took,
                        heap / 1e9 / cpu_s, cpu_s, mib, "" if not truth else "exact" if not wrong else "%.3f %% off" % (100 * wrong)))
                    sys.stdout.flush()


def throughput(python, rounds, seconds, objects):
    print("\n%-9s %-28s %s" % ("allocator", "census", "requests, times those of plain: median (lowest - highest of %d pairs); by CPU time" % rounds))
    for allocator in ("pymalloc", "malloc"):
        with Target(python, allocator) as target:
            target.ask("mixed %d" % objects)
            target.ask("work 500")
            for name, args in (("--every 1", ["--every", "1"]), ("--every 1 --sample 5%", ["--every", "1", "--sample", "5%"])):
                ratios, by_cpu = [], []
                for i in range(rounds):
                    found = {}
                    for reads in (False, True) if i % 2 else (True, False):
                        child = None
                        if reads:
                            child = subprocess.Popen([PYLEAK, "census", "-p", str(target.pid), "--json"] + args, stdout=subprocess.PIPE)
                            child.stdout.readline()
                        found[reads] = target.ask("work %d" % (seconds * 1000))
                        if child:
                            child.send_signal(signal.SIGINT)
                            child.communicate()
                    ratios.append(found[True][0] / found[False][0])
                    by_cpu.append(found[True][1] / found[False][1])
                print("%-9s %-28s %.3f (%.3f - %.3f); %.3f (%.3f - %.3f)" % (
                    allocator, name, statistics.median(ratios), min(ratios), max(ratios), statistics.median(by_cpu), min(by_cpu), max(by_cpu)))
                sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=10000000)
    parser.add_argument("--mixed", type=int, default=450000, help="rounds that fill the heap beside which requests are served")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("python", nargs="?", default="/usr/bin/python3")
    options = parser.parse_args()
    speed(options.python, options.objects)
    throughput(options.python, options.rounds, options.seconds, options.mixed)


main()
