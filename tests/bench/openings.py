# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What one opening of budget mode's gate takes from a process that is at work, beside what it tells: the excess of the CPU time of requests around
it over those of the half second before and after. Differences that do not last as long do not matter, so it says more on a shared machine than
two runs of some seconds.

openings.py [--seconds S] [PYTHON...]
"""
import bisect
import json
import re
import signal
import statistics
import subprocess

from budget import PYLEAK
from bench import arguments, targets

AROUND_S, BESIDE_S = 0.06, 0.5
BEGIN = re.compile(r"pyleak-bpf: ([0-9.]+): process [0-9]+: opening ([0-9]+): [0-9.]+ ms saved")
END = re.compile(r"pyleak-bpf: ([0-9.]+): process [0-9]+: opening ([0-9]+): slowed for")


def traced(target, request, seconds):
    """(requests as (when, CPU), openings as (begin, end), what the last report tells, in ms an opening)"""
    tool = subprocess.Popen([PYLEAK, "-p", str(target.pid), "--json", "-i", "2", "-vv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True)
    for line in tool.stderr:
        if "tracing" in line:
            break
    numbers = [int(word) / 1e9 for word in target.ask("each %s %g" % (request, seconds))]
    tool.send_signal(signal.SIGINT)
    out, log = tool.communicate()
    last = json.loads(out.splitlines()[-1])
    begins, ends = ({match.group(2): float(match.group(1)) for match in pattern.finditer(log)} for pattern in (BEGIN, END))
    openings = sorted((begins[number], ends[number]) for number in begins if number in ends)
    told = last["overhead"]["target_cpu_mean_pct"] / 100 * last["elapsed_s"] / last["overhead"]["bursts"]
    return list(zip(numbers[::2], numbers[1::2])), openings, told * 1e3


def excess(requests, begin, end):
    """Seconds of CPU; None: too near to the ends, or to other openings, to tell."""
    when = [each[0] for each in requests]
    at = [bisect.bisect(when, moment) for moment in (begin - AROUND_S - BESIDE_S, begin - AROUND_S, end + AROUND_S, end + AROUND_S + BESIDE_S)]
    beside = [cpu for _, cpu in requests[at[0]:at[1]] + requests[at[2]:at[3]]]
    around = [cpu for _, cpu in requests[at[1] - 1:at[2]]]
    return sum(around) - statistics.mean(beside) * len(around) if at[0] and at[3] < len(when) and len(beside) > 30 else None


def main():
    options = arguments(seconds=40.0, rounds=1)
    for target, in targets(options.pythons):
        for request in ("mixed", "churn"):
            requests, openings, told = traced(target, request, options.seconds)
            took = [1e3 * each for each in (excess(requests, begin, end) for begin, end in openings[1:]) if each is not None]
            print("  %-6s %d openings: told %.2f ms each, took %.2f ms (mean), %.2f ms (median)" % (
                request, len(took), told, statistics.mean(took), statistics.median(took)), flush=True)


if __name__ == "__main__":
    main()
