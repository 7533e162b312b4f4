# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is measured: runs one request over and over on command and says how long each took.

Commands on stdin, one answer line each: "run NAME SECONDS" -> median seconds per request, wall and CPU; "mean NAME SECONDS" -> seconds of CPU
per request, all of them together; "each NAME SECONDS" -> of each request when it began (CLOCK_MONOTONIC) and its CPU time, ns; "one NAME" -> "ok" after one request; "tracemalloc FRAMES" (0: stop) -> "ok"; "memray native|python" (0: stop), as
its attach does -> "ok" or "missing"; "quit".
"""
import copy
import json
import os
import pickle
import re
import string
import sys
import time
import tracemalloc

DOCUMENT = {"users": [{"id": i, "name": "user %d" % i, "tags": ["a", "b", str(i)], "score": i * 1.5,
                       "address": {"street": "Main Street %d" % i, "city": "Springfield"}} for i in range(40)]}
TEXT = " ".join("word%d key%d=value%d" % (i, i, i) for i in range(120))
PATTERN = re.compile(r"(\w+)=(\w+)")
TEMPLATE = string.Template("<li class='$cls'>$name: $value</li>")


def mixed():
    """A request of a web service: JSON in and out, copies, pickles, regular expressions, templates."""
    text = json.dumps(DOCUMENT)
    document = json.loads(text)
    twin = copy.deepcopy(document)
    restored = pickle.loads(pickle.dumps(twin))
    pairs = dict(PATTERN.findall(TEXT))
    rows = [TEMPLATE.substitute(cls="row", name=user["name"], value=user["score"]) for user in restored["users"]]
    return len(pairs) + len("".join(rows))


def memray_tracker(what):
    """Memray at work, with or without Python's own allocators; None: it is not installed."""
    try:
        import memray
    except ImportError:
        return None
    tracker = memray.Tracker(destination=memray.FileDestination("/dev/null", overwrite=True), trace_python_allocators=what == "python")
    tracker.__enter__()
    return tracker


class Node:
    __slots__ = ("value", "next")

    def __init__(self, value, following):
        self.value = value
        self.next = following


def churn():
    """Nothing but allocation: short-lived objects, one after the other."""
    for i in range(2000):
        Node((i, i + 1000), [i])


KEPT = []
SERVED = [0]


def leaking():
    """The web service's, of which each twentieth leaves something behind: there is something to look for."""
    SERVED[0] += 1
    if SERVED[0] % 20 == 0:
        KEPT.append(Node(None, None))
    return mixed()


REQUESTS = {"mixed": mixed, "churn": churn, "leaking": leaking}


def run(request, seconds):
    wall, cpu = [], []
    end = time.perf_counter() + seconds
    while len(wall) < 5 or time.perf_counter() < end:
        w, c = time.perf_counter(), time.process_time()
        request()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return sorted(wall)[len(wall) // 2], sorted(cpu)[len(cpu) // 2]


def mean(request, seconds):
    count, start, end = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        request()
        count += 1
    return (time.process_time() - start) / count


def each(request, seconds):
    times, end = [], time.monotonic_ns() + int(seconds * 1e9)
    while time.monotonic_ns() < end:
        began, before = time.monotonic_ns(), time.thread_time_ns()
        request()
        times += [began, time.thread_time_ns() - before]
    return times


def main():
    sys.stdout.write("ready %d %s\n" % (os.getpid(), sys.version.split()[0]))
    sys.stdout.flush()
    tracker = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            return
        if words[0] == "tracemalloc":
            tracemalloc.stop()
            if int(words[1]):
                tracemalloc.start(int(words[1]))
            sys.stdout.write("ok\n")
        elif words[0] == "memray":
            if words[1] == "0":
                tracker = tracker.__exit__(None, None, None)
                sys.stdout.write("ok\n")
            else:
                tracker = memray_tracker(words[1])
                sys.stdout.write("ok\n" if tracker else "missing\n")
        elif words[0] == "mean":
            sys.stdout.write("%.9f\n" % mean(REQUESTS[words[1]], float(words[2])))
        elif words[0] == "each":
            sys.stdout.write(" ".join(map(str, each(REQUESTS[words[1]], float(words[2])))) + "\n")
        elif words[0] == "one":
            REQUESTS[words[1]]()
            sys.stdout.write("ok\n")
        else:
            sys.stdout.write("%.9f %.9f\n" % run(REQUESTS[words[1]], float(words[2])))
        sys.stdout.flush()


main()
