# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A C extension that forgets PyMem_Free."""
import array
import ctypes
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "c-memory",
    "kind": "PyMem_Malloc",
    "line_marker": "# LEAK",
    "function": "call_extension",
    "types": ["(buffer)"],
    # ctypes may leave a small block or two of its own on the line, in a free list
    "per_round": {"objects": 1, "bytes": 400, "slack": 2},
}

allocate = ctypes.pythonapi.PyMem_Malloc
release = ctypes.pythonapi.PyMem_Free
allocate.argtypes = [ctypes.c_size_t]
allocate.restype = ctypes.c_void_p
release.argtypes = [ctypes.c_void_p]
release.restype = None
ADDRESSES = array.array("L", b"\0" * (8 << 17))
USED = [0]
SIZE = 400


def call_extension():
    block = allocate(SIZE)  # LEAK
    ctypes.memset(block, 0, SIZE)
    ADDRESSES[USED[0]] = block
    USED[0] += 1


def drop():
    for index in range(USED[0]):
        release(ADDRESSES[index])
    USED[0] = 0


harness.serve(call_extension, drop)
