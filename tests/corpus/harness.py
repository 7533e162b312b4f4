# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What every corpus program shares: a line protocol on stdin/stdout, pacing, and books that balance.

On start the program warms its caches up, prints "ready PID" and obeys one command per line:

    run SECONDS RATE   leak at RATE rounds a second until SECONDS are over or "stop" arrives
    stop               ends a run
    round N            exactly N rounds, at once
    free               drop everything that was leaked, collect
    mark               sys.getallocatedblocks() now (null on 2.7, which has none)
    tables             the allocator tables, as PyMem_GetAllocator tells them
    oracle N           N rounds under tracemalloc: which line and which type grew
    ping, quit

Each is answered by one line: "done JSON". End of input ends the program, so that it never outlives its test.

A program says in its module-level TRUTH what it leaks; a value there may be a dict keyed by the
lowest CPython version it holds for ({"2.7": ..., "3.11": ...}). "since" is the lowest version that the program runs on,
"settles" after how many rounds nothing is left of what it held before them (a run then says "settled TIME"),
"holder" what refs must name (a kind of root, or part of the way), "at_once" on how many interpreters it may run at a time where it would else not keep its rate.
"""
import gc
import json
import os
import select
import sys
import time


monotonic = getattr(time, "monotonic", time.time)
allocated_blocks = getattr(sys, "getallocatedblocks", lambda: None)


def emptying(items):
    """What drops all of a list, or of any container; lists of 2.7 have no clear()."""
    if hasattr(items, "clear"):
        return items.clear

    def drop():
        del items[:]
    return drop


def slots(count):
    """COUNT names for __slots__: makes an instance as big as a test wants it."""
    return tuple("field%d" % i for i in range(count))


def resolve(value, version=None):
    """The part of a TRUTH value that holds for a version (default: the running one)."""
    version = tuple(version or sys.version_info)[:2]
    if not isinstance(value, dict) or not value or not all(k[0].isdigit() for k in value):
        return value
    best = None
    for key, held in value.items():
        since = tuple(int(part) for part in key.split("."))
        if since <= version and (best is None or since > best[0]):
            best = since, held
    return best[1] if best else None


_DOCUMENT = {"user": "anna", "roles": ["reader", "writer"], "quota": {"used": 12.5, "of": 100}}


def small_churn():
    """What any service does between two leaks: it allocates, and frees it all."""
    text = json.dumps(_DOCUMENT)
    again = json.loads(text)
    return "%s:%d" % (again["user"], len(text))


class _Input:
    """Lines from file descriptor 0, without a buffer object that grows."""

    def __init__(self):
        self.poll = select.poll()
        self.poll.register(0, select.POLLIN)
        self.pending = b""

    def line(self, timeout=None):
        """The next line, or None after TIMEOUT seconds. Leaves the process at end of input."""
        while b"\n" not in self.pending:
            if not self.poll.poll(None if timeout is None else max(0, timeout) * 1000):
                return None
            more = os.read(0, 4096)
            if not more:
                os._exit(0)
            self.pending += more
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode().split()


def _say(word, value):
    data = ("%s %s\n" % (word, value if isinstance(value, int) else json.dumps(value))).encode()
    while data:
        data = data[os.write(1, data):]


def _work(leak, churn, source, count, period, deadline, settles=None):
    """The only place a round is started from, so that every leak has one stack. Returns the rounds made."""
    made = 0
    due = monotonic()
    while made < count:
        if period:
            now = monotonic()
            if now >= deadline:
                break
            if now - due > 0.5:
                due = now
            command = source.line(due - now)
            if command and command[0] == "stop":
                break
            if command and command[0] == "quit":
                os._exit(0)
            if monotonic() < due:
                continue
            due += period
        leak()
        made += 1
        if made == settles:
            _say("settled", time.time())
        if churn is not None and (period or made % 16 == 0):
            churn()
    return made


def _tables():
    """The function pointers of the three allocator tables; 2.7 has none."""
    import ctypes

    if not hasattr(ctypes.pythonapi, "PyMem_GetAllocator"):
        return {}

    class Allocator(ctypes.Structure):
        _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]

    found = {}
    for number, domain in enumerate(("raw", "mem", "obj")):
        table = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(number, ctypes.byref(table))
        found[domain] = [table.malloc, table.calloc, table.realloc, table.free]
    return found


def type_name(kind):
    module, name = kind.__module__, getattr(kind, "__qualname__", kind.__name__)
    return name if module in ("builtins", "__builtin__") else "%s.%s" % (module, name)


def _census():
    """{type name: [objects, bytes]} of all that can be reached from what the collector tracks."""
    enabled = gc.isenabled()
    frozen = gc.get_freeze_count() if hasattr(gc, "freeze") else 0
    gc.disable()
    if frozen:
        gc.unfreeze()
    todo = gc.get_objects()
    if frozen:
        gc.freeze()
    if enabled:
        gc.enable()
    seen, found = {}, {}
    # 3.12.1: gc.get_referents(_asyncio) never returns once its free list holds something
    ignore = {id(todo), id(seen), id(found), id(sys.modules.get("_asyncio"))}
    while todo:
        item = todo.pop()
        key = id(item)
        if key in seen or key in ignore:
            continue
        seen[key] = item
        entry = found.setdefault(type_name(type(item)), [0, 0])
        entry[0] += 1
        try:
            entry[1] += sys.getsizeof(item)
        except Exception:  # a type whose __sizeof__ needs an instance
            pass
        todo.extend(gc.get_referents(item))
    seen.clear()  # up to 3.6 the exception above may keep this frame for a while
    return found


def _oracle(leak, churn, source, rounds):
    """The same leak seen by tracemalloc (line), then by the collector (type)."""
    import tracemalloc

    tracemalloc.start(1)
    _work(leak, churn, source, 32, 0, 0)
    before = tracemalloc.take_snapshot()
    _work(leak, churn, source, rounds, 0, 0)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    lines = sorted(((diff.size_diff, diff.count_diff, diff.traceback[0].filename, diff.traceback[0].lineno)
                    for diff in after.compare_to(before, "lineno")), reverse=True)[:5]
    del before, after

    types_before = _census()
    _work(leak, churn, source, rounds, 0, 0)
    types_after = _census()
    grown = []
    for name, (objects, size) in types_after.items():
        was = types_before.get(name, (0, 0))
        grown.append((size - was[1], objects - was[0], name))
    return {"rounds": rounds, "lines": lines, "types": sorted(grown, reverse=True)[:8]}


def serve(leak, drop, churn=small_churn, warm=64, commands=None):
    """Warm up, say ready, obey. LEAK is one round, DROP forgets all; COMMANDS adds words of the program's own."""
    truth = getattr(sys.modules["__main__"], "TRUTH", {})
    settles = truth.get("settles")
    per_round = resolve(truth.get("per_round", {}).get("objects"))
    source = _Input()
    if churn is not None and sys.version_info < (3,):
        for _ in range(100):  # dicts made by calling dict() end in a free list, until that is full
            churn()
    for _ in range(2):
        _work(leak, churn, source, warm, 0, 0)
        drop()
        gc.collect()

    leaked = 0
    _say("ready", os.getpid())
    while True:
        command = source.line()
        if not command:
            continue
        word, args = command[0], command[1:]
        before = allocated_blocks()
        began = monotonic()
        answer = {}
        if word in ("run", "round"):
            if word == "run":
                made = _work(leak, churn, source, 1 << 60, 1 / float(args[1]), began + float(args[0]), settles)
            else:
                made = _work(leak, churn, source, int(args[0]), 0, 0)
            leaked += made
            after = allocated_blocks()
            answer = {"made": made, "rounds": leaked, "objects": None if per_round is None else per_round * leaked,
                      "blocks_before": before, "blocks_after": after, "elapsed": monotonic() - began}
        elif word == "free":
            drop()
            gc.collect()
            leaked = 0
            answer = {"blocks_before": before, "blocks_after": allocated_blocks()}
        elif word == "mark":
            answer = {"blocks": before}
        elif word == "tables":
            answer = _tables()
        elif word == "oracle":
            answer = _oracle(leak, churn, source, int(args[0]))
        elif word == "quit":
            _say("done", answer)
            os._exit(0)
        elif commands and word in commands:
            answer = commands[word](*args)
        if isinstance(answer, dict):
            answer["gc_count"] = gc.get_count()
            if hasattr(gc, "get_stats"):
                answer["gc_collections"] = [generation["collections"] for generation in gc.get_stats()]
        _say("done", answer)
        del answer, command
