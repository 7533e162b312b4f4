# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Leaks of several kinds in one program, and an allocator that is replaced when told so.

Arguments: the library made of hook.c, and what it shall do at once ("all", "gil", "thunks") if anything.
"""
import ctypes
import os
import sys
import threading
import tracemalloc
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

HOOK = ctypes.PyDLL(sys.argv[1]) if len(sys.argv) > 1 else None
DOMAINS = {"all": 0, "gil": 1, "thunks": 1}
KEPT = []
DATA = os.urandom(1 << 15)


class Session:
    __slots__ = ("a", "b")


def leak():
    KEPT.append(Session())  # Session
    KEPT.append({"number": None})  # dict
    KEPT.append(bytes(400))  # bytes
    KEPT.append(bytearray(9000))  # bytearray


def churn():
    [str(number) * 3 for number in range(2000, 2030)]


def compress():
    """Raw memory without the GIL, by several threads at once; all of it is given back."""
    for _ in range(20):
        zlib.decompress(zlib.compress(DATA))


def threads():
    workers = [threading.Thread(target=compress) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {}


def trace(on):
    if on == "on":
        tracemalloc.start()
    else:
        tracemalloc.stop()
    return {}


def hook(which, on):
    if which == "thunks" and on == "on":
        HOOK.hook_install_thunks()
        return {}
    (HOOK.hook_install if on == "on" else HOOK.hook_remove)(DOMAINS[which])
    return {}


if len(sys.argv) > 2:
    hook(sys.argv[2], "on")
harness.serve(leak, KEPT.clear, churn, commands={
    "threads": threads, "tracemalloc": trace, "hook": hook, "calls": lambda: {"calls": HOOK.hook_calls()}})
