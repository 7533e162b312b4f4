# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Threads that have made large objects, each in an arena of malloc's of its own, and wait."""
import os
import threading

THREADS = 5
KEEP = []
started = threading.Barrier(THREADS + 1)


class Held(object):
    __slots__ = tuple("field%d" % i for i in range(80))


def work():
    KEEP.append([Held() for _ in range(1000)] + [b"x" * (600 + i) for i in range(2000)] + [dict.fromkeys(range(100)) for _ in range(200)])
    started.wait()
    threading.Event().wait()


for _ in range(THREADS):
    threading.Thread(target=work, daemon=True).start()
started.wait()
print("ready", os.getpid(), flush=True)
os.read(0, 1)
os._exit(0)
