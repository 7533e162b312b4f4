# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Budget mode on the corpus: after how long is the leak the first grower, with its line and type, and called growing? Do healthy programs stay unaccused?

detect.py leaks|healthy [--seconds S] [--runs N] [--at-once N] [--budget PCT] [--python PYTHON] [PROGRAM...]

Many programs at once share the machine; a bound of 60 s for each is meant for a quiet one. What a healthy program fills once (its "settles") does grow
until it is full, and for as long again nothing else may be known.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import truth  # noqa: E402
from process import Target, Tracer  # noqa: E402


def version_of(python):
    out = subprocess.check_output([python, "-c", "import sys; sys.stdout.write('%d.%d.%d' % sys.version_info[:3])"])
    return tuple(int(part) for part in out.decode().split("."))


def watch(case, options, look):
    """Runs the program, traced, until LOOK(snapshot) says that it has seen enough; the mean cost in percent."""
    target = Target(options.python, case.path)
    costs = []
    try:
        tracer = Tracer.json(target, "-n", 30, "--budget", options.budget, interval=2, mode="budget")
        target.send("run %g %g" % (options.seconds + 120, case.rate))
        while True:
            snapshot = tracer.snapshot()
            costs.append(snapshot["overhead"]["target_cpu_pct"] or 0)
            if look(snapshot) or snapshot["elapsed_s"] >= options.seconds:
                break
        target.send("stop")
        target.answer()
        tracer.stop()
    finally:
        target.close()
    return sum(costs) / len(costs)


def leak(case, options):
    """Found means: first and growing, and still so two reports later."""
    found = []

    def look(snapshot):
        rows = snapshot["growers"]
        if rows and case.fits(rows[0]) and rows[0]["verdict"] == "growing":
            found.append(snapshot["elapsed_s"])
        else:
            found.clear()
        return len(found) > 2

    cost = watch(case, options, look)
    return ("after %5.1f s" % found[0] if found else "NOT FOUND    ") + "   cost %.2f %%" % cost, bool(found)


def healthy(case, options):
    accused = []
    from_s = 2 * case.settles / case.rate if case.settles else 0

    def look(snapshot):
        if snapshot["elapsed_s"] < from_s:
            return False
        accused.extend("after %.0f s: %s, %d bytes in %d objects" % (snapshot["elapsed_s"], row["type"], row["bytes"], row["objects"])
                       for row in snapshot["growers"] if row["verdict"] == "growing")
        return False

    cost = watch(case, options, look)
    return ("no alarm" if not accused else "%d ALARMS, %s" % (len(accused), accused[0])) + "   cost %.2f %%" % cost, not accused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("leaks", "healthy"))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("programs", nargs="*")
    options = parser.parse_intermixed_args()
    options.seconds = options.seconds or (60 if options.kind == "leaks" else 1200)
    version = version_of(options.python)
    cases = [truth.Truth(path, version) for path in truth.programs(options.kind)
             if not options.programs or os.path.basename(path)[:-3] in options.programs]
    cases = [case for case in cases if case.runs]
    judge = leak if options.kind == "leaks" else healthy
    good = total = 0
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        runs = [(case, pool.submit(judge, case, options)) for _ in range(options.runs) for case in cases]
        for case, run in runs:
            try:
                told, fine = run.result()
            except AssertionError as failure: # the tracer or the program ended otherwise than it should
                told, fine = "FAILED: %s" % failure, False
            print("%-28s %s" % (os.path.basename(case.path), told), flush=True)
            good += fine
            total += 1
    print("%d of %d runs as they should be (%.0f %%)" % (good, total, 100 * good / total))
    return good != total


if __name__ == "__main__":
    sys.exit(main())
