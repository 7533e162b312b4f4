# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes objects of every kind of type, each kind on a line of its own.

"make" answers [[line, type name, objects, exact], ...]: EXACT is false where a free list of the interpreter may
have given some of them without an allocation.
"""
import array
import collections
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import itertools
import operator
import os
import re
import struct
import sys
import types
import weakref

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

COUNT = 300


class Plain:
    pass


class Slotted:
    __slots__ = ("a", "b")


class NoFields:
    __slots__ = ()


class Weak:
    __slots__ = ("a", "__weakref__")


class Outer:
    class Inner:
        __slots__ = harness.slots(3)

        class Innermost:
            def __init__(self):
                self.value = 1


class Int(int):
    pass


class Float(float):
    __slots__ = ()


class Str(str):
    pass


class Tuple(tuple):
    pass


class Bytes(bytes):
    pass


class List(list):
    __slots__ = ()


class Dict(dict):
    pass


class Set(set):
    pass


class Error(Exception):
    pass


class Meta(type):
    pass


class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()


class Structure(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]


class Diamond(Dict, Plain):
    pass


def local_class():
    class Local:
        __slots__ = harness.slots(4)
    return Local


Local = local_class()
Moved = type("Moved", (), {"__slots__": harness.slots(4), "__module__": "some.where.else"})
Renamed = type("Renamed", (), {"__slots__": harness.slots(4), "__qualname__": "Not.What<It>.Seems"})
Unicode = type("Größe名", (), {"__slots__": harness.slots(4)})
LongName = type("N" * 200, (), {"__slots__": harness.slots(4), "__module__": "long"})
Meta2 = Meta("Meta2", (), {"__slots__": harness.slots(4)})
Pair = collections.namedtuple("Pair", "left right")
SEVEN = 7
TEN = 10 ** 40
WIDE = tuple(range(30))
NAMES = {"k%d" % n: n for n in range(20)}


def generate():
    yield 1


async def coroutine():
    pass


def function():
    pass


# exactly one object of the type per call, and each on its own line
MAKERS = [
    (True, lambda: Plain()),
    (True, lambda: Slotted()),
    (True, lambda: NoFields()),
    (True, lambda: Weak()),
    (True, lambda: Outer.Inner()),
    (True, lambda: Outer.Inner.Innermost()),
    (True, lambda: Int(TEN)),
    (True, lambda: Float(1.5)),
    (True, lambda: Str("abc")),
    (True, lambda: Tuple(WIDE)),
    (True, lambda: Bytes(b"abc")),
    (True, lambda: List()),
    (True, lambda: Dict()),
    (True, lambda: Set()),
    (True, lambda: Error()),
    (True, lambda: Point(1, 2)),
    (True, lambda: Structure()),
    (True, lambda: Diamond()),
    (True, lambda: Local()),
    (True, lambda: Moved()),
    (True, lambda: Renamed()),
    (True, lambda: Unicode()),
    (True, lambda: LongName()),
    (True, lambda: Meta2()),
    (True, lambda: Pair(1, 2)),
    (True, lambda: TEN + SEVEN),
    (False, lambda: SEVEN * 1.5),
    (True, lambda: complex(SEVEN, 2)),
    (True, lambda: "%d!" % SEVEN),
    (True, lambda: "ü%d" % SEVEN),
    (True, lambda: "名%d" % SEVEN),
    (True, lambda: "\U0001f600%d" % SEVEN),
    (True, lambda: b"%d!" % SEVEN),
    (True, lambda: bytearray(SEVEN)),
    (True, lambda: WIDE[1:]),
    (False, lambda: WIDE[:3]),
    (False, lambda: list(WIDE)),
    (False, lambda: dict(NAMES)),
    (True, lambda: set(WIDE)),
    (True, lambda: frozenset(WIDE[:4])),
    (True, lambda: (lambda: 1)),
    (True, lambda: generate()),
    (False, lambda: slice(TEN, None)),
    (True, lambda: range(TEN)),
    (sys.version_info < (3, 14), lambda: iter(WIDE)),
    (True, lambda: enumerate(WIDE)),
    (True, lambda: zip(WIDE)),
    (True, lambda: map(len, WIDE)),
    (True, lambda: property(function)),
    (True, lambda: staticmethod(function)),
    (True, lambda: classmethod(function)),
    (True, lambda: memoryview(b"abc")),
    (True, lambda: types.SimpleNamespace()),
    (True, lambda: types.ModuleType("made")),
    (True, lambda: types.MappingProxyType(NAMES)),
    (True, lambda: type("Made", (), {"__slots__": ()})),
    (True, lambda: Meta("Made", (), {"__slots__": ()})),
    (True, lambda: ValueError(1)),
    (True, lambda: weakref.ref(Local, print)),
    (True, lambda: collections.deque()),
    (True, lambda: collections.OrderedDict()),
    (True, lambda: collections.defaultdict(list)),
    (True, lambda: collections.Counter()),
    (True, lambda: array.array("d", (1.0,))),
    (True, lambda: datetime.datetime(2020, 1, 1)),
    (True, lambda: datetime.timedelta(SEVEN)),
    (True, lambda: decimal.Decimal(SEVEN)),
    (True, lambda: functools.partial(print)),
    (True, lambda: itertools.count(TEN)),
    (True, lambda: itertools.chain(WIDE)),
    (True, lambda: operator.itemgetter(1)),
    (True, lambda: struct.Struct("ii")),
    (True, lambda: re.compile("a").match("a")),
    (True, lambda: ctypes.c_double(1.0)),
    (True, lambda: enum.Enum("Color", "RED")),
    (True, lambda: fractions.Fraction(1, 3)),
    (True, lambda: compile("1", "<made>", "eval")),
    (False, lambda: function.__get__(SEVEN)),
]
KEEP = []


def leak():
    for _, maker in MAKERS:
        KEEP.append(maker())


def make():
    # what runs first is not part of it: caches and free lists fill
    for _ in range(20):
        leak()
    KEEP.clear()
    answer = []
    kept = []
    for exact, maker in MAKERS:
        for _ in range(COUNT):
            kept.append(maker())
        kind = type(kept[-1])
        answer.append([maker.__code__.co_firstlineno, harness.type_name(kind), COUNT, exact])
    KEEP.append(kept)
    return {"made": answer}


harness.serve(leak, KEEP.clear, warm=20, commands={"make": make})
