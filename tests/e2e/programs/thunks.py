# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Its allocator is replaced, on command ("replace"), by code that is in no file: thunks that jump to what stood there."""
import ctypes
import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "corpus"))
import harness  # noqa: E402


class Allocator(ctypes.Structure):
    _fields_ = [("ctx", ctypes.c_void_p)] + [(name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free")]


CODE = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
KEPT = []


def thunk(number, function):
    """movabs $function,%rax; jmp *%rax"""
    at = 16 * number
    CODE[at:at + 12] = b"\x48\xb8" + struct.pack("<Q", function) + b"\xff\xe0"
    return ctypes.addressof(ctypes.c_char.from_buffer(CODE)) + at


def replace():
    for domain in (1, 2):
        allocator = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
        for number, name in enumerate(("malloc", "calloc", "realloc", "free")):
            setattr(allocator, name, thunk(4 * domain + number, getattr(allocator, name)))
        ctypes.pythonapi.PyMem_SetAllocator(domain, ctypes.byref(allocator))
    return {}


def leak():
    KEPT.append(object())


harness.serve(leak, harness.emptying(KEPT), commands={"replace": replace})
