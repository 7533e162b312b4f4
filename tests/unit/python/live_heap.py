"""The target of live_heap: changes its heap as it is told on stdin, one letter at a time, and says "." when that is done.

First it says, on one line, where its truth is: the address of four counters of 8 bytes and of a list of addresses,
then ID of each type that is counted.
    m  makes the marked objects                      s  does nothing
    d  frees every other one, makes others           x  a class with 100 instances takes the place of the last one
    c  churns at full speed until the next letter    h  fills memory with what looks like pools, but is none, or wrong ones
    t  fills memory with what looks like types       r  frees the last 4,000 of some size, makes 4,000 of another
    g  makes garbage of __slots__, which is not collected before the next letter, and others that are held
    q  ends
counters: sys.getallocatedblocks() (0: this version has none), others by letter: d: live marks of __slots__ / of others, length of the
list; x: -, -, length of the list, which has the class; h, t: how many wrong pools / blocks in them there are
stderr gets what the interpreter counts by size class, sys._debugmallocstats(), where it has that (3.3+).
"""
import array
import ctypes
import gc
import mmap
import os
import struct
import sys
import threading
import weakref


class Slots(object):
    __slots__ = ("a", "b")


class Other(object):
    __slots__ = ("c", "d")


class Attributes(object):
    def __init__(self, value):
        self.value = value


class Watched(object):
    __slots__ = ("e", "__weakref__")


class Mapping(dict):
    pass


def alignment():
    """Of blocks, by how far those of one size are from each other; it has changed within 2.7 and 3.6 (bpo-27987)."""
    steps = []
    for slots in (("a",), ("a", "b")):
        made = type("Aligned", (object,), {"__slots__": slots})
        addrs = sorted(map(id, [made() for _ in range(1000)]))
        steps.append(min(b - a for a, b in zip(addrs, addrs[1:])))
    return 8 if any(step % 16 for step in steps) else 16


ALIGNMENT = alignment()
VERSION = sys.version_info[:2]
GC_HEAD = sys.getsizeof([]) - [].__sizeof__()
POOL = 16384 if VERSION >= (3, 10) else 4096
TYPES = [Slots, Other, Attributes, Mapping, float, tuple, Watched]
counters = array.array("l", [0, 0, 0, 0])
fresh = array.array("L", [0] * 4096)
blocks = getattr(sys, "getallocatedblocks", lambda: 0)
statistics = getattr(sys, "_debugmallocstats", lambda: None)
# reading into this allocates nothing
letter = bytearray(1)
stdin = os.fdopen(0, "rb", 0)
wait = stdin.readinto
kept = {}


def make():
    kept["slots"] = [Slots() for _ in range(5000)]
    kept["attributes"] = [Attributes(i) for i in range(3000)]
    kept["mappings"] = [Mapping() for _ in range(2000)]
    kept["floats"] = [i + 0.5 for i in range(4000)]
    kept["tuples"] = [(i, None) for i in range(6000)]


def change():
    kept["slots"][::2] = [None] * 2500
    kept["others"] = [Other() for _ in range(1000)]
    more = [Slots() for _ in range(700)]
    for i, new in enumerate(more):
        fresh[i] = id(new)
    kept["slots"] += more
    counters[1], counters[2], counters[3] = 3200, 1000, 700
    del new, more


def pass_on():
    """A class that takes another one's place in memory, with instances that do."""
    kept.pop("passing", None)
    gc.collect()
    made = type("Passing%d" % fresh[1], (object,), {"__slots__": ("a", "b")})
    kept["passing"] = [made() for _ in range(100)]
    fresh[0], fresh[1] = id(made), fresh[1] + 1
    counters[3] = 1


def reuse():
    """In pools that had blocks of another size before."""
    counters[1] = (counters[1] + 48) % 400
    kept.pop("reused", None)
    kept["reused"] = [b"x" * (counters[1] + i % 2) for i in range(4000)]


def pages(size):
    """Private memory as an arena's, and the first address in it where a pool may be."""
    memory = mmap.mmap(-1, size + POOL, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    kept[start] = memory
    return memory, (start + POOL - 1) // POOL * POOL, -start % POOL


def header(addr, count, free, size, carved, alignment=ALIGNMENT, link=None, maxnext=None, nextoffset=None):
    return struct.pack("QQQQIIII", count, free, addr if link is None else link, addr if link is None else link, 3,
                       size // alignment - 1, 48 + carved * size if nextoffset is None else nextoffset,
                       POOL - size if maxnext is None else maxnext)


def hide():
    """Pools with lists in circles, out of bounds and too short are taken, as best can be; those with impossible headers are not."""
    size = 64
    each = 200
    memory, addr, off = pages(21 * each * POOL)
    wrong, blocks = 0, 0
    for _ in range(each):
        for links in ((1, 2, 0), (1, 1), (1, 99), (1, None), (1,)):  # of the free list: where to; the last is the end
            memory[off:off + 48] = header(addr, 4, addr + 48, size, 6)
            for i, to in enumerate(links):
                link = 0xdeadbeef if to is None else addr + 48 + to * size
                last = (to == links[-1] == 1 and len(links) == 1)
                memory[off + 48 + i * size:off + 56 + i * size] = struct.pack("Q", link)
                if last:
                    memory[off + 48 + size:off + 56 + size] = struct.pack("Q", addr + 48 + 5 * size)
            wrong += 1
            blocks += 6 - {(1, 2, 0): 3, (1, 1): 2, (1, 99): 2, (1, None): 2, (1,): 3}[links]
            addr, off = addr + POOL, off + POOL
        for bad in (header(addr, 7, 0, size, 6), header(addr, 1, addr - 8, size, 6), header(addr, 1, addr + 49, size, 6),
                    header(addr, 1, 0, size, 6, maxnext=POOL), header(addr, 1, 0, size, 6, maxnext=POOL - size + 8),
                    header(addr, 1, 0, size, 6, link=0), header(addr, 1, 0, size, 6, link=1 << 63),
                    header(addr, 1, 0, size, 6, link=addr + 1), header(addr, 1, 0, size, 0), header(addr, 1, 0, size, 1),
                    header(addr, 1, 0, size, 6, nextoffset=0xffffffff), header(addr, 1, 0, size, 6, nextoffset=47),
                    header(addr, 1, 0, size, POOL // size), header(addr, 6, 0, size, 6, alignment=24 - ALIGNMENT)):
            memory[off:off + 48] = bad
            addr, off = addr + POOL, off + POOL
        # the collector's link of an object that was given out meanwhile leads on, to one that never was free
        memory[off:off + 48] = header(addr, 5, addr + 48, size, 6)
        for i in range(2):
            at = off + 48 + i * size
            memory[at:at + 8] = struct.pack("Q", addr + 48 + size if i == 0 else 0)
            memory[at + GC_HEAD:at + GC_HEAD + 16] = struct.pack("QQ", 1, id(Slots))
        wrong += 1
        blocks += 6
        addr, off = addr + POOL, off + POOL
    counters[1], counters[2] = wrong, blocks


def pretend():
    """Each block of these looks like an object of another type."""
    capacity = (POOL - 48) // 16
    cnt = 400000 // capacity
    memory, addr, off = pages(cnt * POOL)
    number = addr
    for _ in range(cnt):
        memory[off:off + 48] = header(addr, capacity, 0, 16, capacity)
        memory[off + 48:off + 48 + 16 * capacity] = struct.pack("%dQ" % (2 * capacity), *[
            word for i in range(capacity) for word in (1, number + 8 * i)])
        addr, off, number = addr + POOL, off + POOL, number + 8 * capacity
    counters[1], counters[2] = 0, cnt * capacity


def circle(kind, names):
    left, right = kind(), kind()
    setattr(left, names[0], right)
    setattr(right, names[1], left)
    return left


def litter():
    kept["circles"] = {}
    kept["watched"] = [Watched() for _ in range(400)]
    kept["watching"] = weakref.WeakSet(kept["watched"])
    for i in range(200):
        circle(Slots, ("a", "b"))
        kept["circles"][i] = circle(Other, ("c", "d"))


def churn():
    going = [True]

    def stop():
        wait(letter)
        del going[:]

    thread = threading.Thread(target=stop)
    thread.start()
    kept["churned"] = [None] * 1000
    os.write(1, b".\n")
    i = 0
    while going:
        i = (i + 7) % 1000
        kept["churned"][i] = (i, [i], {i: str(i)}, b"x" * (i % 400))
    thread.join()
    del kept["churned"]


def main():
    where = [counters.buffer_info()[0], fresh.buffer_info()[0]] + [id(t) for t in TYPES]
    os.write(1, (" ".join("%x" % w for w in where) + "\n").encode())
    does = {ord("m"): make, ord("d"): change, ord("x"): pass_on, ord("h"): hide, ord("t"): pretend, ord("r"): reuse,
            ord("s"): lambda: None, ord("c"): churn, ord("g"): litter}
    gc.disable()
    while wait(letter) and letter[0] != ord("q"):
        does[letter[0]]()
        if letter[0] != ord("g"):
            gc.collect()
        # the collector has emptied the free lists: what the calls below take from them must be there again
        os.write(2, b"")
        counters[0] = blocks()
        counters[0] = blocks()
        statistics()
        os.write(1, b".\n")


main()
