# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What budget mode costs: two processes that do the same, one of them traced; ratios of pairs. And what the tool says that it costs.

budget.py [--seconds S] [--rounds N] [--only mixed|churn|server] [--requests N] [--warm N] [--rate PER_SECOND] [PYTHON...]
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
SERVED_SHARE = 0.3  # of what a server can do
SERVED_BY = "--budget 1", "tracemalloc", "memray native"
SLICE_S = 0.25


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
    """WHAT: native (malloc and its like), python (Python's allocators, too)."""

    def __init__(self, target, what):
        self.target = target
        target.ask("memray " + what)

    def end(self):
        self.target.ask("memray 0")


def has_memray(target):
    """Of the target's Python."""
    if target.ask("memray native")[0] != "ok":
        return False
    target.ask("memray 0")
    return True


def at_once(pair, request, seconds):
    """Mean seconds of CPU for a request of each of both, which run at once, each half of the time on either processor: those are not alike."""
    everywhere = os.sched_getaffinity(0)
    took, cpus = ([], []), (sorted(everywhere) * 2)[:2]
    for _ in range(round(seconds / SLICE_S)):
        for target, cpu in zip(pair, cpus):
            os.sched_setaffinity(target.pid, [cpu])
            target.tell("mean %s %g" % (request, SLICE_S))
        for target, some in zip(pair, took):
            some.append(float(target.answer()[0]))
        cpus.reverse()
    for target in pair:
        os.sched_setaffinity(target.pid, everywhere)
    return [statistics.mean(some) for some in took]


def paired(pair, request, tool, level, options):
    """(traced / plain of each round, overhead as told): another one is traced in each round."""
    ratios, told = [], []
    for _ in range(options.rounds):
        tracer = tool(pair[1], level)
        plain, traced = at_once(pair, request, options.seconds)
        told.append(tracer.end())
        ratios.append(traced / plain)
        pair.reverse()
    return ratios, told


def latencies(pair, count, rate):
    """Seconds of single requests to two servers by turns, at random times, RATE a second to each: what else the machine does meets both."""
    took, each = ([], []), float(pair[0].ask("mean leaking 0.5")[0])
    between = 1 / (rate or SERVED_SHARE / each) / 2 - each
    for i in range(2 * count):
        time.sleep(random.expovariate(1 / between))
        start = time.perf_counter()
        pair[i % 2].ask("one leaking")
        took[i % 2].append(time.perf_counter() - start)
    return took


def percentiles(took):
    took = sorted(took)
    return [statistics.mean(took)] + [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 0.999)]


def server(pair, tool, level, options):
    """
    Ratios traced / plain of mean, p50, p99 and p99.9 of all requests, the p99 of each round, and what the tool tells. Of two servers, another one traced in each round. Not of
    the first (options.warm): an attach has an opening on credit.
    """
    took, rounds, told = ([], []), [], []
    for _ in range(options.rounds):
        tracer = tool(pair[1], level)
        latencies(pair, options.warm, options.rate)
        each = latencies(pair, options.requests, options.rate)
        told.append(tracer.end())
        rounds.append(percentiles(each[1])[2] / percentiles(each[0])[2])
        for some, all_of in zip(each, took):
            all_of.extend(some)
        pair.reverse()
    return [traced / plain for plain, traced in zip(*map(percentiles, took))], rounds, told


def spread(ratios):
    return "x plain %.3f (%.3f-%.3f)" % (statistics.median(ratios), min(ratios), max(ratios))


def trimmed_mean(ratios):
    """Without the least and the most: another program on the machine makes one of either."""
    return statistics.mean(sorted(ratios)[1:-1] if len(ratios) > 4 else ratios)


def tools(target):
    """(name, how it is started, with what): where the target's Python has it, memray, too, with Python's own allocators or without."""
    more = [("memray " + what, Memray, what) for what in ("native", "python")] if has_memray(target) else []
    return [("--budget %g" % budget, Tracer, budget) for budget in (0.5, 1, 5)] + [("tracemalloc", Tracemalloc, 1)] + more


def at_work(pair, request, measured, options):
    for name, tool, level in measured:
        ratios, told = paired(pair, request, tool, level, options)
        print("  %-6s %-13s %s, mean %.3f" % (request, name, spread(ratios), trimmed_mean(ratios)), end="" if tool == Tracer else "\n")
        if tool == Tracer:
            pauses = [each["longest_pause_s"] * 1e3 for each in told]
            print("   told: %.2f %% of a CPU, slowed for %.1f ms at most (median; %.1f worst)" % (
                statistics.median(each["target_cpu_mean_pct"] for each in told), statistics.median(pauses), max(pauses)), flush=True)


def served(pair, measured, options):
    for name, tool, level in [each for each in measured if each[0] in SERVED_BY]:
        ratios, rounds, told = server(pair, tool, level, options)
        print("  server %-13s x plain: mean %.3f, p50 %.3f, p99 %.3f (of single rounds %.3f-%.3f), p99.9 %.3f" % (
            name, *ratios[:3], min(rounds), max(rounds), ratios[3]), end="" if tool == Tracer else "\n", flush=True)
        if tool == Tracer:
            print("   told: %d bursts, %d lookouts" % tuple(sum(each[what] for each in told) for what in ("bursts", "lookouts")), flush=True)


def main():
    options = arguments(seconds=6.0, rounds=7, requests=6000, warm=2000, rate=0.0, only="")
    for pair in targets(options.pythons, 2):
        measured = tools(pair[0])
        for request in ("mixed", "churn"):
            if options.only in ("", request):
                at_work(pair, request, measured, options)
        if options.only in ("", "server"):
            served(pair, measured, options)


if __name__ == "__main__":
    main()
