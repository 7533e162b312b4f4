# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A pool of threads that serves small jobs and forgets them."""
import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "since": "3.6",
    "kind": "thread pool",
    "healthy": True,
    "rate": 20,
    "settles": 100,  # up to 3.10 dead frames stay in a free list, as many as ever were there at once
}

POOL = concurrent.futures.ThreadPoolExecutor(max_workers=3)


def job(number):
    return sum(len(str(part) * 10) for part in range(number))


def request():
    futures = [POOL.submit(job, 20) for _ in range(4)]
    return [future.result() for future in futures]


def drop():
    pass


harness.serve(request, drop)
