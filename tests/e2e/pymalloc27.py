# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Blocks that pymalloc of a running 2.7 has given out, counted as sys.getallocatedblocks() does where that exists: the sum over
all pools of its arenas, read from outside. Objects/obmalloc.c: struct arena_object, struct pool_header."""
import re
import struct
import subprocess

POOL = 4096
LARGEST = 512  # what is larger comes from malloc


def _library(pid):
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            fields = line.split()
            if len(fields) > 5 and "libpython2.7" in fields[5]:
                return int(fields[0].split("-")[0], 16) - int(fields[2], 16), fields[5]
    return None


def _symbols(path):
    """The static variables; nothing where the library is stripped."""
    listed = subprocess.run(["nm", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True).stdout
    return {name: int(addr, 16) for addr, name in re.findall(r"^([0-9a-f]+) \w (arenas|maxarenas)$", listed, re.M)}


def blocks(pid):
    """How many; None where it cannot be known."""
    library = _library(pid)
    symbols = _symbols(library[1]) if library else {}
    if len(symbols) < 2:
        return None
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        def read(addr, form):
            mem.seek(addr)
            return struct.unpack(form, mem.read(struct.calcsize(form)))

        count, = read(library[0] + symbols["maxarenas"], "I")
        arenas, = read(library[0] + symbols["arenas"], "Q")
        total = 0
        for number in range(count):
            address, pool_address = read(arenas + 48 * number, "QQ")
            if not address:
                continue
            for pool in range((address + POOL - 1) // POOL * POOL, pool_address, POOL):
                total += read(pool, "I")[0]
        return total
