# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Knows what is in its heap, and does nothing while it waits: each command is one line, answered by "done JSON".

    truth    [{type name: how many gc.get_objects() has of it}, how many more are frozen], true until the next command
    make     keeps a known number of objects: {type name: [objects, least bytes, most bytes, or null]}
    garbage  puts 14 instances into gc.garbage; how many are in there
    fragment drops all but each 501st of many objects, which are instances of Keeper; how many these are
    churn    makes and drops objects until the next command      leak   keeps one Leaked after the other until then
    ping, quit
"""
import collections
import gc
import json
import os
import sys
import threading
import time

COUNT = 4000
LARGE = 300


class Slots(object):
    __slots__ = ("a", "b")


class Attributes(object):
    def __init__(self):
        self.value = 1


class Outer(object):
    class Inner(object):
        __slots__ = ("a",)


class Big(object):
    __slots__ = tuple("field%d" % i for i in range(100))


class Items(list):
    __slots__ = ()


class Mapping(dict):
    __slots__ = ()


class Unique(set):
    __slots__ = ()


class Buffer(bytearray):
    __slots__ = ()


class Queue(collections.deque):
    __slots__ = ()


class Number(int):
    __slots__ = ()


class Text(str):
    __slots__ = ()


class Cycle(object):
    pass


class Keeper(object):
    __slots__ = ("a", "b")


class Leaked(object):
    __slots__ = ("a", "b", "c")


class Churned(object):
    __slots__ = ("a", "b")


# a collection of 3.12 and 3.13 freezes what is immortal, and gc.get_objects() leaves that out
frozen = getattr(gc, "get_freeze_count", lambda: 0)
KEEP = {}
# what debug hooks put around each block
HOOKS = hasattr(sys, "gettotalrefcount") or "debug" in os.environ.get("PYTHONMALLOC", "")
NUMBERS = list(range(LARGE)) # what containers hold, so that they do not make any
letter = bytearray(1)
stdin = os.fdopen(0, "rb", 0)
# no bound method is made for a call of this
wait = stdin.readinto


def name_of(kind):
    module, name = kind.__module__, getattr(kind, "__qualname__", kind.__name__)
    return name if module in ("builtins", "__builtin__") else "%s.%s" % (module, name)


def count():
    counts = {}
    kind = None
    for kind in map(type, gc.get_objects()):
        counts[kind] = counts.get(kind, 0) + 1
    named = {}
    for kind in counts:
        named[name_of(kind)] = named.get(name_of(kind), 0) + counts[kind]
    return named


def truth():
    """The second time, all that this needs was there before."""
    json.dumps(count())
    gc.collect()
    text = "[%s, %d]" % (json.dumps(count()), frozen())
    gc.collect()
    return text


def sizes(kept):
    """What Python says they take; an allocator rounds up, and what lies in front of objects is not always counted."""
    size = sum(map(sys.getsizeof, kept))
    return size, int(size * 1.02) + (400 if HOOKS else 80) * len(kept)


def make():
    KEEP["own"] = own = {
        Slots: [Slots() for _ in range(COUNT)],
        Attributes: [Attributes() for _ in range(COUNT)],
        Outer.Inner: [Outer.Inner() for _ in range(COUNT)],
        Big: [Big() for _ in range(LARGE)],
        Items: [Items(NUMBERS[:i]) for i in range(LARGE)],
        Mapping: [Mapping.fromkeys(NUMBERS[:i]) for i in range(LARGE)],
        Unique: [Unique(NUMBERS[:i]) for i in range(LARGE)],
        Buffer: [Buffer(i * 1000) for i in range(LARGE)],
        Queue: [Queue(NUMBERS[:i]) for i in range(LARGE)],
        Number: [Number(i) for i in range(COUNT)],
        Text: [Text("text %d" % i) for i in range(COUNT)],
    }
    more = {}
    for kind in own:
        more[name_of(kind)] = [len(own[kind])] + (list(sizes(own[kind])) if len(own[kind]) == LARGE else [None, None])
    builtin = [
        ["%d kept" % i for i in range(COUNT)] + [("%d" % i) * 300 for i in range(1000, 1000 + LARGE)],
        [i + 0.5 for i in range(COUNT)],
        [complex(i, 1) for i in range(COUNT)],
        [10 ** 20 + i for i in range(COUNT)] + [1 << (8000 + i) for i in range(LARGE)],
    ]
    if sys.version_info > (3,):
        builtin.append([b"%d kept" % i for i in range(COUNT)] + [bytes(1000 + i) for i in range(LARGE)] + [bytes(1 << 20)])
    else:
        builtin.append([("%d kept" % i).decode() for i in range(COUNT)] + [("%d" % i).decode() * 300 for i in range(1000, 1000 + LARGE)])
        builtin.append([100000 + i for i in range(COUNT)])
    KEEP["builtin"] = builtin
    for kept in builtin:
        more[name_of(type(kept[0]))] = [len(kept), None, None]
    gc.collect()
    return json.dumps(more)


def garbage():
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    for _ in range(14):
        made = Cycle()
        made.me = made
    del made
    gc.collect()
    gc.set_debug(0)
    return json.dumps(sum(type(each) is Cycle for each in gc.garbage))


def fragment():
    kept = KEEP["keepers"] = []
    dropped = []
    for _ in range(600):
        dropped.append([Slots() for _ in range(500)])
        kept.append(Keeper())
    del dropped
    return json.dumps(len(kept))


def until_told(step, pause):
    going = [True]

    def stop():
        line()
        del going[:]

    thread = threading.Thread(target=stop)
    thread.start()
    say("{}")
    number = 0
    while going:
        step(number)
        number += 1
        if pause:
            time.sleep(pause)
    thread.join()
    return json.dumps(number)


def churn():
    KEEP["churned"] = ring = [None] * 1000

    def step(number):
        ring[number * 7 % 1000] = (Churned(), [number], {number: str(number)}, b"x" * (number % 700))

    for number in range(1000):
        step(number)
    text = until_told(step, 0)
    del KEEP["churned"]
    return text


def leak():
    kept = KEEP.setdefault("leaked", [])
    return until_told(lambda number: kept.extend([Leaked() for _ in range(50)]), 0.02)


def say(text):
    text = ("done " + text + "\n") if text[:5] != "ready" else text
    data = text.encode("ascii") if sys.version_info > (3,) else text
    os.write(1, data)


def line():
    """Its first letter."""
    first = None
    while wait(letter):
        if letter[0] == 10:
            return first
        first = first or letter[0]
    os._exit(0)


def main():
    commands = {ord("t"): truth, ord("m"): make, ord("g"): garbage, ord("f"): fragment, ord("c"): churn, ord("l"): leak, ord("p"): lambda: "{}"}
    gc.disable()
    while True:
        first = line()
        if first == ord("q"):
            os._exit(0)
        text = commands[first]()
        say(text)


count()
gc.collect()
say("ready %d\n" % os.getpid())
main()
