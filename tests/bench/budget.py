# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What budget mode costs: by turns plain and traced, in the same process; ratios of pairs. And what the tool says that it costs.

budget.py [--seconds S] [--rounds N] [--requests N] [PYTHON...]
"""
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time

from bench import arguments, targets

PYLEAK = os.environ["PYLEAK"]


class Tracer:
    def __init__(self, target, budget):
        self.process = subprocess.Popen([PYLEAK, "-p", str(target.pid), "--budget", str(budget), "--json", "-i", "2"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, universal_newlines=True)
        for line in self.process.stderr:
            if "tracing" in line:
                return
        raise SystemExit("the tracer did not start")

    def end(self):
        """The overhead of its last report."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate()
        return json.loads(out.splitlines()[-1])["overhead"]


class Tracemalloc:
    """What the tool is to be better than, in the target itself."""

    def __init__(self, target, frames):
        self.target = target
        target.ask("tracemalloc %d" % frames)

    def end(self):
        self.target.ask("tracemalloc 0")


class Memray:
    """Where the target's Python has it; WHAT: native (malloc and its like), python (Python's allocators, too)."""

    def __init__(self, target, what):
        self.target = target
        target.ask("memray " + what)

    def end(self):
        self.target.ask("memray 0")


def has_memray(target):
    if target.ask("memray native")[0] != "ok":
        return False
    target.ask("memray 0")
    return True


def paired(target, request, tool, level, options):
    """(traced / plain of each round, overhead as told)"""
    ratios, told = [], []
    for i in range(options.rounds):
        took = {}
        for traced in (False, True) if i % 2 else (True, False):
            tracer = tool(target, level) if traced else None
            took[traced] = float(target.ask("mean %s %g" % (request, options.seconds))[0])
            if tracer:
                told.append(tracer.end())
        ratios.append(took[True] / took[False])
    return ratios, told


def latencies(target, count):
    """Seconds of single requests that come at random times, some 30 % of what the process can do."""
    each, took = float(target.ask("mean mixed 0.5")[0]), []
    for _ in range(count):
        time.sleep(random.expovariate(1 / (each * 2.3)))
        start = time.perf_counter()
        target.ask("one mixed")
        took.append(time.perf_counter() - start)
    return took


def percentiles(took):
    took = sorted(took)
    return [statistics.mean(took)] + [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 0.999)]


def server(target, tool, level, options):
    """Ratios traced / plain of mean, p50, p99 and p99.9: medians over the rounds."""
    rounds = []
    for i in range(options.rounds):
        took = {}
        for traced in (False, True) if i % 2 else (True, False):
            tracer = tool(target, level) if traced else None
            took[traced] = percentiles(latencies(target, options.requests))
            if tracer:
                tracer.end()
        rounds.append([a / b for a, b in zip(took[True], took[False])])
    return [statistics.median(column) for column in zip(*rounds)]


def spread(ratios):
    return "x plain %.3f (%.3f-%.3f)" % (statistics.median(ratios), min(ratios), max(ratios))


def main():
    options = arguments(seconds=6.0, rounds=7, requests=3000)
    for target in targets(options.pythons):
        for request in ("mixed", "churn"):
            for budget in (0.5, 1, 5):
                ratios, told = paired(target, request, Tracer, budget, options)
                pauses = [each["longest_pause_s"] * 1e3 for each in told]
                print("  %-6s --budget %-4g %s   told: %.2f %% of a CPU, slowed for %.1f ms at most (median; %.1f worst)" % (
                    request, budget, spread(ratios), statistics.median(each["target_cpu_mean_pct"] for each in told),
                    statistics.median(pauses), max(pauses)), flush=True)
            ratios, _ = paired(target, request, Tracemalloc, 1, options)
            print("  %-6s tracemalloc   %s" % (request, spread(ratios)), flush=True)
            for what in ("native", "python") if has_memray(target) else ():
                ratios, _ = paired(target, request, Memray, what, options)
                print("  %-6s memray %-6s %s" % (request, what, spread(ratios)), flush=True)
        for name, tool in (("--budget 1", Tracer), ("tracemalloc", Tracemalloc)):
            print("  server %-13s x plain: mean %.3f, p50 %.3f, p99 %.3f, p99.9 %.3f" % ((name,) + tuple(server(target, tool, 1, options))),
                  flush=True)


if __name__ == "__main__":
    main()
