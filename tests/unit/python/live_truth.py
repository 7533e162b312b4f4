#!/usr/bin/env python3
"""The target of live_truth: writes what it knows about itself, then waits until stdin is closed.

Usage: live_truth.py TRUTH-FILE. Says "ready" on stdout when the file is complete. One fact per line; texts are
hex-coded UTF-8 in the form that py_str__read promises:
    str ADDR TEXT
    code ADDR FILE NAME LINE:COUNT...      the line of each code unit, run-length coded; 0: none
    type ADDR NAME
    obj ADDR PRESIZE SIZE TYPE             a block that holds an object
    buf OBJECT TYPE USE ADDR SIZE          a buffer; USE "-" when content alone does not tell
    nobuf OBJECT TYPE
    neg ADDR SIZE                          a block that holds no object
    version TEXT
    gc COLLECTIONS...                      of each generation
    collects YES FROZEN                    is the collector on, and how many objects gc.freeze() keeps from it
    thread ID                              and its frames, the innermost first:
    frame FILE NAME LINE
    end-of-thread
"""
import array
import collections
import ctypes
import functools
import gc
import glob
import io
import os
import random
import sys
import threading

VERSION = sys.version_info[:2]
GC_FLAG = 1 << 14
GC_HEAD = sys.getsizeof([]) - [].__sizeof__()
PRE_FLAGS = {(3, 11): 1 << 4}.get(VERSION, 1 << 3 | 1 << 4 if VERSION >= (3, 12) else 0)
KEEP = []  # everything dumped stays alive
OUT = open(sys.argv[1], "w")


def keep(thing):
    KEEP.append(thing)
    return thing


def text(s):
    out = "".join("\\u%04x" % ord(c) if 0xD800 <= ord(c) < 0xE000 else "\\x00" if c == "\0" else c for c in s)
    return out.encode().hex() or "-"


def fact(*words):
    print(*words, file=OUT)


def word(addr):
    return ctypes.c_uint64.from_address(addr).value


# ---- str ----

def dump_strings():
    class Text(str):
        pass

    samples = ["", "a", "ascii only", "caf\xe9", "\u0416\u0416", "\U0001f600 mixed \xe9", "lone \udc80 surrogate", "nul\0nul",
               "x" * 3000, "\xe9" * 2999, "\u0416" * 1500, "\U0001f600" * 900, Text("sub"), Text("s\u0416b")]
    if VERSION < (3, 12):
        # PyUnicode_FromUnicode(NULL, n): a string that is not "ready"
        make = ctypes.pythonapi.PyUnicode_FromUnicode
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t]
        legacy = make(None, 3)
        data = (ctypes.c_uint32 * 3)(0x61, 0x416, 0x1F600)
        ctypes.memmove(word(id(legacy) + 40), data, 12)
        keep(legacy)
        fact("str", "%x" % id(legacy), "a\u0416\U0001f600".encode().hex())
    for s in samples:
        keep(s)
        fact("str", "%x" % id(s), text(s))


# ---- code ----

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.restype, addr2line.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_int]

ODD_SOURCES = {
    "/odd/multi.py": '''
def f(a,
      b=lambda x: (x +
                   1)):
    try:
        return [x
                for x in a
                if x
                and b(x)]
    finally:
        with open(
            a
        ) as g, open(b) as h:
            pass
    while a:
        try: b()
        except (A,
                B) as e: continue
        else: break
async def g(it):
    async with it as x, it as y:
        async for z in it:
            yield (await
                   z)
    return
class C(f(1,
          2)):
    x = {k: v
         for k,
         v in y}
    def m(self):
        return super().m(
            1,
            *a,
            **b)
    @f
    @g
    def decorated(self): yield
def nothing(): pass
''',
    "/odd/gaps.py": "a = 1\n" + "\n" * 126 + "b = 1\n" + "\n" * 127 + "c = (1,\n" + "\n" * 300 + "f(),\n" + "g())\n" + "\n" * 70000 +
                    "def f():\n" + "    x()\n" + "\n" * 1000 + "    return y\n",
    "/odd/long.py": "x = [" + ",\n".join("f(%d)" % i for i in range(800)) + "]\nif x: " + "; ".join("y()" for _ in range(300)) + "\n",
    "/odd/back.py": "def f():\n    return (a(\n" + "\n" * 200 + "      b), c\n" + "\n" * 150 + "      )\n",
    "/odd/l\udcffone-\u0416-\U0001f600.py": "def \u0416\xe9():\n    return 1\n",
    "<string>": "x = 1",
}
if VERSION >= (3, 10):
    ODD_SOURCES["/odd/match.py"] = '''
def f(x):
    match x:
        case [1,
              2]: return 1
        case {"a": b,
              **c} if (b and
                       c): return 2
        case _:
            raise ValueError from (
                x)
'''


def all_code(code, seen):
    todo = [code]
    while todo:
        code = todo.pop()
        if id(code) in seen:
            continue
        seen[id(code)] = code
        todo += [c for c in code.co_consts if hasattr(c, "co_code")]


def runs(lines):
    last, cnt = None, 0
    for line in lines:
        if line == last:
            cnt += 1
            continue
        if cnt:
            yield "%d:%d" % (last, cnt)
        last, cnt = line, 1
    if cnt:
        yield "%d:%d" % (last, cnt)


def line_at(code, offset):
    return max(addr2line(code, offset), 0)


def check_against_co_lines(code, lines):
    """PyCode_Addr2Line is the truth; co_lines() is a second witness of it."""
    if not hasattr(code, "co_lines"):
        return
    for start, end, line in code.co_lines():
        for offset in range(start, end, 2):
            assert lines[offset // 2] == max(line or 0, 0), (code, offset)


def dump_code():
    seen = {}
    files = sorted(glob.glob(os.path.dirname(os.__file__) + "/**/*.py", recursive=True))
    files = [f for f in files if "lib2to3/tests" not in f and "bad_" not in f and "badsyntax" not in f]
    for path in random.Random(1).sample(files, min(len(files), 220)):
        try:
            with open(path, "rb") as f:
                all_code(compile(f.read(), path, "exec", dont_inherit=True), seen)
        except (SyntaxError, ValueError):
            pass
    for path, source in ODD_SOURCES.items():
        all_code(compile(source, path, "exec", dont_inherit=True), seen)
    for o in gc.get_objects():
        if isinstance(o, type(dump_code)):
            all_code(o.__code__, seen)
    keep(seen)
    for code in list(seen.values()):
        lines = [line_at(code, offset) for offset in range(0, len(code.co_code), 2)]
        check_against_co_lines(code, lines)
        name = code.co_qualname if hasattr(code, "co_qualname") else code.co_name
        fact("code", "%x" % id(code), text(code.co_filename), text(name), *runs(lines))


# ---- types ----

def make_types():
    class Meta(type):
        pass

    class MetaMeta(type):
        pass

    class MetaOfMeta(type, metaclass=MetaMeta):
        pass

    class Local(metaclass=Meta):
        class Nested:
            pass

    class Deep(metaclass=MetaOfMeta):
        pass

    class Moved:
        __module__ = "somewhere.else"

    class Builtinish:
        __module__ = "builtins"

    class NoModule:
        __module__ = None

    class Late:
        pass

    Late.__module__ = "late.module"
    Late.__qualname__ = "Renamed.Later"
    unicode = type("\u0416\xe9\U0001f600", (), {"__module__": "m\u0416"})
    dynamic = type("Dyn", (), dict({"k%d" % i: i for i in range(300)}, **{"__module__": "dyn"}))
    shared = Late()
    shared.a, shared.__module__ = 1, "from.instance.dict"
    split = type("Split", (), shared.__dict__)
    general = type("General", (), {1: 2, "x": 3, "__module__": "gen"})
    keep([Meta, MetaOfMeta, Local, Local.Nested, Deep, Moved, Builtinish, NoModule, Late, unicode, dynamic, split, general, shared,
          collections.namedtuple("Point", "x y"), functools.partial, io.TextIOWrapper, collections.deque])


def type_name(cls):
    qualname = type.__dict__["__qualname__"].__get__(cls)
    try:
        module = type.__dict__["__module__"].__get__(cls)
    except AttributeError:
        module = None
    if not isinstance(module, str) or module == "builtins":
        return qualname
    return module + "." + qualname


def all_types():
    seen, todo = {}, [object]
    while todo:
        cls = todo.pop()
        if id(cls) in seen:
            continue
        seen[id(cls)] = cls
        todo += type.__subclasses__(cls)
    return list(seen.values())


def dump_types():
    for cls in keep(all_types()):
        fact("type", "%x" % id(cls), text(type_name(cls)))


# ---- objects ----

class Plain:
    def __init__(self, i):
        self.a = i
        self.b = str(i)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, 2


class WeakSlots:
    __slots__ = ("a", "__weakref__")


class OnlyWeak:
    __slots__ = ("__weakref__",)


class EmptySlots:
    __slots__ = ()


def subclasses():
    made = []
    for base, args in ((int, (10 ** 30,)), (str, ("text \u0416",)), (tuple, ((1, 2),)), (list, ([1, 2, 3],)), (dict, ({1: 2},)),
                       (set, ((1, 2),)), (float, (1.5,)), (bytes, (b"abc",)), (bytearray, (b"abc",)), (Exception, ("x",)),
                       (collections.deque, ((1, 2),)), (type, ("T", (), {}))):
        sub = type("Sub_" + base.__name__, (base,), {})
        slotted = type("Slotted_" + base.__name__, (base,), {"__slots__": ()})
        made += [sub(*args), slotted(*args), sub, slotted]
        made[-4].attribute = 1
    return made


def presize(cls):
    return (GC_HEAD if cls.__flags__ & GC_FLAG else 0) + (16 if cls.__flags__ & PRE_FLAGS else 0)


def own_size(o):
    for base in (str, int):
        if type(o) is base:
            return base.__sizeof__(o)
    return object.__sizeof__(o)


def dump_object(o):
    cls = type(o)
    if isinstance(o, type) and not o.__flags__ & 1 << 9:
        return  # static
    if isinstance(o, type):
        size = cls.__basicsize__
    elif VERSION >= (3, 12) and isinstance(o, int):
        size = cls.__basicsize__
    else:
        size = own_size(o)
    fact("obj", "%x" % id(o), presize(cls), size + presize(cls), "%x" % id(cls))


def many_objects():
    def generator():
        yield 1

    async def coroutine():
        pass

    running = generator()
    next(running)
    awaiting = coroutine()
    made = [Plain(i) for i in range(50)] + [Slots(), WeakSlots(), OnlyWeak(), EmptySlots(), running, awaiting, generator()]
    made += [1 << 70, -(1 << 70), 12345, 1.5, 1j, b"x" * 100, bytearray(b"y"), "a" * 600, "\u0416" * 10, chr(0x1F600) * 3,
             frozenset([1, 2]), memoryview(b"abc"), range(10), slice(1, 2), iter([1]), iter({}), zip(), lambda: made, ctypes.c_int(4),
             (ctypes.c_int * 10)(), array.array("i", [1, 2]), collections.OrderedDict(a=1), collections.defaultdict(list), object(),
             functools.partial(print), io.BytesIO(b"x"), io.StringIO("x"), ctypes.CDLL(None), property(), staticmethod(len),
             sys.implementation, type(sys)("module"), collections.Counter("abc"), sys._getframe(), Plain(1).__init__, [].append]
    return made + subclasses()


def dump_objects():
    gc.collect()
    objects = gc.get_objects()
    if len(objects) > 20000:
        objects = random.Random(2).sample(objects, 20000)
    objects += many_objects()
    for o in keep(objects):
        dump_object(o)


# ---- buffers ----

def dump_buffer(o, use, addr, size):
    fact("buf", "%x" % id(o), "%x" % id(type(o)), use.replace(" ", "_"), "%x" % addr, size)


def list_buffer(items):
    dump_buffer(keep(items), "list items", word(id(items) + 24), list.__sizeof__(items) - list.__basicsize__)


def dict_buffer(d):
    dump_buffer(keep(d), "dict keys", word(id(d) + 32), dict.__sizeof__(d) - dict.__basicsize__)


def set_buffer(s):
    dump_buffer(keep(s), "set table", word(id(s) + 40), set.__sizeof__(s) - set.__basicsize__
                if isinstance(s, set) else frozenset.__sizeof__(s) - frozenset.__basicsize__)


def grown(n):
    items = []
    for i in range(n):
        items.append(Plain(i))
    return items


def dump_lists():
    for n in (1, 3, 4, 5, 9, 17, 100, 1000, 100000):
        list_buffer(grown(n))
        list_buffer([object() for _ in range(n)])
        list_buffer([None] * n)
    list_buffer([None] * 10)
    popped = grown(1000)
    del popped[600:]
    list_buffer(popped)
    types = all_types()
    list_buffer(types)
    list_buffer(type("L", (list,), {})(types[:6]))
    fact("nobuf", "%x" % id(keep([])), "%x" % id(list))


def dump_dicts():
    for n in (1, 5, 6, 10, 50, 100, 200, 30000, 70000):
        dict_buffer({"key%d" % i: i for i in range(n)})
        dict_buffer({i * 7: str(i) for i in range(n)})
        dict_buffer({(i, str(i)): i for i in range(n)})
    dict_buffer({cls: 1 for cls in all_types()})
    dict_buffer({cls.__name__: cls for cls in all_types()})
    thinned = {i: i for i in range(100)}
    for i in range(90):
        del thinned[i]
    dict_buffer(thinned)
    dict_buffer(thinned.copy())
    dict_buffer(collections.defaultdict(list, a=1))
    dict_buffer(collections.Counter("abcdef"))
    if VERSION >= (3, 8):  # before, empty ones have a table, too
        fact("nobuf", "%x" % id(keep({})), "%x" % id(dict))


class Wide:
    def __init__(self, n):
        for i in range(n):
            setattr(self, "attr%d" % i, object() if i % 2 else str(i))


def dump_values():
    """Values of split tables, where this version puts them."""
    for n in (1, 2, 3, 4, 7, 12):
        cls = type("Wide%d" % n, (Wide,), {})
        made = keep([cls(n) for _ in range(5)])
        o = made[-1]
        if VERSION <= (3, 10):
            d = keep(o.__dict__)
            values = word(id(d) + 40)
            if values:
                size = 8 * (word(word(id(d) + 32) + 8) * 2 // 3)
                dump_buffer(d, "dict values" if n not in (5, 10) else "-", values, size)
        elif VERSION == (3, 11):
            prefixed(o, word(id(o) - 32))
        elif VERSION == (3, 12):
            tagged = word(id(o) - 24)
            if tagged & 1:
                prefixed(o, tagged + 1)
        else:
            fact("nobuf", "%x" % id(o), "%x" % id(cls))  # inline
            d = keep(o.__dict__)
            if word(id(d) + 40):
                fact("nobuf", "%x" % id(d), "%x" % id(dict))
                # a copy has values of its own
                c = keep(d.copy())
                values = word(id(c) + 40)
                if values:
                    capacity = ctypes.c_uint8.from_address(values).value
                    dump_buffer(c, "dict values", values, 8 + 8 * capacity + (capacity + 7) // 8 * 8)


CACHED_KEYS = {(3, 11): 872, (3, 12): 880}  # PyHeapTypeObject.ht_cached_keys


def prefixed(o, values):
    if not values:
        return
    prefix = ctypes.c_uint8.from_address(values - 1).value
    keys = word(id(type(o)) + CACHED_KEYS[VERSION])
    capacity = word(keys + 16) + word(keys + 24)  # dk_usable + dk_nentries
    dump_buffer(o, "dict values", values - prefix, prefix + 8 * capacity)


def dump_sets():
    for n in (5, 6, 20, 100, 5000):
        set_buffer(set("text%d" % i for i in range(n)))
        set_buffer(set(range(n)))
        set_buffer(frozenset(object() for _ in range(n)))
    set_buffer(set(all_types()))
    holes = set(range(1000))
    for i in range(0, 1000, 3):
        holes.discard(i)
    set_buffer(holes)
    fact("nobuf", "%x" % id(keep({1, 2})), "%x" % id(set))


def dump_others():
    for n in (1, 3, 64, 1000):
        ba = keep(bytearray(os.urandom(n)))
        dump_buffer(ba, "-bytearray buffer", word(id(ba) + 32), bytearray.__sizeof__(ba) - bytearray.__basicsize__)
    fact("nobuf", "%x" % id(keep(bytearray())), "%x" % id(bytearray))
    for n in (0, 1, 40):
        d = keep(collections.deque(range(n)))
        dump_buffer(d, "-deque block", word(id(d) + 24), 528)
    for cls in (collections.deque, type("D", (collections.deque,), {})):
        d = keep(cls(object() for _ in range(1000)))
        dump_buffer(d, "deque block", word(id(d) + 24), 528)
        dump_buffer(d, "deque block", word(id(d) + 32), 528)


def dump_negatives():
    types = all_types()
    random.Random(3).shuffle(types)
    for k in range(0, len(types) - 16, 5):
        items = keep(types[k:k + 16])
        fact("neg", "%x" % word(id(items) + 24), 128)
        pair = keep([types[k], types[k + 1]])
        fact("neg", "%x" % word(id(pair) + 24), 16)
        pointers = keep((ctypes.c_uint64 * 16)(*[id(t) for t in items]))
        fact("neg", "%x" % ctypes.addressof(pointers), 128)
    for code, values in (("Q", range(1000)), ("i", range(1, 1000)), ("d", [1.0] * 100)):
        a = keep(array.array(code, values))
        fact("neg", "%x" % a.buffer_info()[0], a.itemsize * len(a))
    objects = keep((ctypes.c_uint64 * 100)(*[id(o) for o in KEEP[:100]]))
    fact("neg", "%x" % ctypes.addressof(objects), 800)
    noise = keep(ctypes.create_string_buffer(os.urandom(4096)))
    for off in range(0, 4000, 16):
        fact("neg", "%x" % (ctypes.addressof(noise) + off), 96)


# ---- the interpreter and its threads ----

def dump_stack(frame):
    fact("thread", "%x" % threading.get_ident())
    while frame:
        code = frame.f_code
        name = code.co_qualname if hasattr(code, "co_qualname") else code.co_name
        fact("frame", text(code.co_filename), text(name), frame.f_lineno)
        frame = frame.f_back
    fact("end-of-thread")


def through_frames_of_all_kinds(wait):
    """A stack with comprehensions, a class body, generators, a coroutine, and C code in between."""
    def generator():
        yield [wait() for _ in (1,)]

    def delegating():
        yield from generator()

    async def coroutine():
        return sorted(
            [1],
            key=lambda _: list(delegating()) and 1)

    class Body:
        try:
            coroutine().send(None)
        except StopIteration:
            pass

        class Property:
            got = property(lambda self: eval("wait()", {"wait": wait}))

    return Body


def thread_that_waits():
    dumped, finish = threading.Event(), threading.Event()

    def dump():
        dump_stack(sys._getframe(1))
        return finish

    def wait():
        # dumped.set() is on the line of the wait, so that the line is true before and in it
        waiting = dump(), dumped.set(), finish.wait(); return waiting  # noqa: E702

    thread = threading.Thread(target=through_frames_of_all_kinds, args=(wait,), daemon=True)
    thread.start()
    dumped.wait()
    return finish


def dump_and_wait():
    dump_stack(sys._getframe()), close_and_say_ready(), sys.stdin.read()


def close_and_say_ready():
    fact("gc", *[s["collections"] for s in gc.get_stats()])
    if sys.version_info >= (3, 7):
        fact("collects", int(gc.isenabled()), gc.get_freeze_count())
    OUT.close()
    print("ready", flush=True)


def main():
    fact("version", "%d.%d.%d" % sys.version_info[:3])
    make_types()
    dump_strings()
    dump_code()
    dump_lists()
    dump_dicts()
    dump_values()
    dump_sets()
    dump_others()
    dump_negatives()
    dump_objects()
    dump_types()
    gc.disable()
    keep(thread_that_waits())
    through_frames_of_all_kinds(dump_and_wait)


main()
