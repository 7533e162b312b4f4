# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Four worker threads, each with a list of its own in a threading.local."""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "LOCAL",
    "kind": "per-thread lists",
    "line_marker": "# LEAK",
    "function": "collect",
    "types": ["__main__.Ticket"],
    "per_round": {"objects": 4},
}

LOCAL = threading.local()


class Ticket(object):
    __slots__ = harness.slots(12)


def collect():
    LOCAL.tickets.append(Ticket())  # LEAK


class Worker(object):
    def __init__(self):
        self.job = None
        self.go = threading.Lock()
        self.done = threading.Lock()
        self.go.acquire()
        self.done.acquire()
        thread = threading.Thread(target=self.run)
        thread.daemon = True
        thread.start()

    def run(self):
        LOCAL.tickets = []
        while True:
            self.go.acquire()
            if self.job == "drop":
                del LOCAL.tickets[:]
            else:
                collect()
            self.done.release()

    def do(self, job):
        self.job = job
        self.go.release()
        self.done.acquire()


WORKERS = [Worker() for _ in range(4)]


def leak():
    for worker in WORKERS:
        worker.do("collect")


def drop():
    for worker in WORKERS:
        worker.do("drop")


harness.serve(leak, drop)
