# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An extension that takes a reference and never gives it back."""
import array
import ctypes
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "c-reference",
    "kind": "C-level reference leak",
    "line_marker": "# LEAK",
    "function": "call_extension",
    "types": ["__main__.Handle"],
    "per_round": {"objects": 1},
}

class Handle(object):
    __slots__ = harness.slots(12)


take = ctypes.pythonapi.Py_IncRef
give = ctypes.pythonapi.Py_DecRef
take.argtypes = [ctypes.py_object]
give.argtypes = [ctypes.c_void_p]
take.restype = give.restype = None
ADDRESSES = array.array("L", b"\0" * (8 << 17))
USED = [0]


def call_extension():
    handle = Handle()  # LEAK
    take(handle)
    ADDRESSES[USED[0]] = id(handle)
    USED[0] += 1


def drop():
    for index in range(USED[0]):
        give(ADDRESSES[index])
    USED[0] = 0


harness.serve(call_extension, drop)
