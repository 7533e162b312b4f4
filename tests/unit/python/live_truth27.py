"""live_truth.py for Python 2.7, with fewer kinds of facts; the same lines.

Usage: live_truth27.py TRUTH-FILE. Says "ready" on stdout when the file is complete, and ends when stdin does.
"""
import collections
import ctypes
import gc
import glob
import os
import random
import sys
import thread
import threading

GC_FLAG = 1 << 14
HEAP_FLAG = 1 << 9
GC_HEAD = sys.getsizeof([]) - [].__sizeof__()
KEEP = []
OUT = open(sys.argv[1], "w")

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.restype, addr2line.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_int]


def keep(thing):
    KEEP.append(thing)
    return thing


def text(s):
    """Bytes that are no UTF-8 become \\xXX, as py_str__read promises."""
    out = "".join("\\x00" if c == u"\0" else
                  "\\x%02x" % (ord(c) - 0xDC00) if 0xDC80 <= ord(c) < 0xDD00 else c.encode("utf-8") for c in surrogates(s))
    return out.encode("hex") or "-"


def surrogates(s):
    """What surrogateescape would be, byte by byte where it must be."""
    out, at = [], 0
    while at < len(s):
        for size in (1, 2, 3, 4):
            try:
                c = s[at:at + size].decode("utf-8")
            except UnicodeDecodeError:
                continue
            if not u"\ud800" <= c <= u"\udfff":
                out.append(c)
                at += size
                break
        else:
            out.append(unichr(0xDC00 + ord(s[at])))
            at += 1
    return out


def fact(*words):
    OUT.write(" ".join(map(str, words)) + "\n")


def word(addr):
    return ctypes.c_uint64.from_address(addr).value


class Text(str):
    pass


def dump_strings():
    for s in ["", "a", "ascii only", "caf\xc3\xa9", "\xd0\x96\xd0\x96", "bad \xff\xfe end", "cut \xd0", "nul\0nul", "x" * 3000,
              "\xc3\xa9" * 1500, Text("sub")]:
        fact("str", "%x" % id(keep(s)), text(s))


def all_code(code, seen):
    todo = [code]
    while todo:
        code = todo.pop()
        if id(code) in seen:
            continue
        seen[id(code)] = code
        todo += [c for c in code.co_consts if hasattr(c, "co_code")]


ODD_SOURCES = {
    "/odd/gaps.py": "a = 1\n" + "\n" * 300 + "b = 1\n" + "\n" * 70000 + "def f():\n    x()\n" + "\n" * 1000 + "    return y\n",
    "/odd/long.py": "x = [" + ",\n".join("f(%d)" % i for i in range(800)) + "]\nif x: " + "; ".join(["y()"] * 300) + "\n",
    "/odd/\xff-\xd0\x96.py": "def f():\n    return 1\n",
}


def runs(lines):
    last, cnt = None, 0
    for line in lines + [None]:
        if line != last and cnt:
            yield "%d:%d" % (last, cnt)
            cnt = 0
        last, cnt = line, cnt + 1


def dump_code():
    seen = {}
    files = sorted(glob.glob(os.path.dirname(os.__file__) + "/*.py") + glob.glob(os.path.dirname(os.__file__) + "/*/*.py"))
    for path in random.Random(1).sample(files, min(len(files), 200)):
        try:
            with open(path, "rb") as f:
                all_code(compile(f.read().replace("\r\n", "\n"), path, "exec", 0, True), seen)
        except (SyntaxError, TypeError):
            pass
    for path, source in ODD_SOURCES.items():
        all_code(compile(source, path, "exec", 0, True), seen)
    keep(seen)
    for code in seen.values():
        lines = [addr2line(code, offset) for offset in range(0, len(code.co_code), 2)]
        fact("code", "%x" % id(code), text(code.co_filename), text(code.co_name), *runs(lines))


class Meta(type):
    pass


class Plain(object):
    __metaclass__ = Meta

    def __init__(self, i):
        self.a, self.b = i, str(i)


class Slots(object):
    __slots__ = ("a", "b")


class Classic:
    def __init__(self):
        self.a = 1


class Moved(object):
    __module__ = "somewhere.else"


def type_name(cls):
    if not cls.__flags__ & HEAP_FLAG:
        name = ctypes.c_char_p.from_address(id(cls) + 24).value
        return name[12:] if name.startswith("__builtin__.") else name
    module = cls.__dict__.get("__module__")
    return cls.__name__ if not isinstance(module, str) or module == "__builtin__" else module + "." + cls.__name__


def all_types():
    seen, todo = {}, [object]
    while todo:
        cls = todo.pop()
        if id(cls) not in seen:
            seen[id(cls)] = cls
            todo += type.__subclasses__(cls)
    return seen.values()


def dump_types():
    keep([type("Dyn", (), dict([("k%d" % i, i) for i in range(300)], __module__="dyn")), collections.namedtuple("Point", "x y")])
    for cls in keep(all_types()):
        fact("type", "%x" % id(cls), text(type_name(cls)))


def dump_objects():
    gc.collect()
    objects = gc.get_objects() + [Plain(1), Slots(), Classic(), Moved(), 1 << 70, 1j, "x" * 100, u"y" * 100, bytearray("z"),
                                  frozenset([1]), xrange(10), iter([1]), lambda: 1, object(), Text("t"), collections.deque()]
    for o in keep(random.Random(2).sample(objects, min(len(objects), 15000))):
        cls = type(o)
        if isinstance(o, type) and not o.__flags__ & HEAP_FLAG:
            continue
        pre = GC_HEAD if cls.__flags__ & GC_FLAG else 0
        size = cls.__basicsize__ if isinstance(o, type) else object.__sizeof__(o)
        fact("obj", "%x" % id(o), pre, size + pre, "%x" % id(cls))


def buf(o, use, addr, size):
    fact("buf", "%x" % id(o), "%x" % id(type(o)), use.replace(" ", "_"), "%x" % addr, size)


def dump_buffers():
    for n in (1, 3, 9, 100, 1000, 100000):
        items = []
        for i in range(n):
            items.append(Plain(i))
        for made in (items, [object() for _ in range(n)]):
            buf(keep(made), "list items", word(id(made) + 24), list.__sizeof__(made) - list.__basicsize__)
    for n in (10, 50, 200, 30000):
        for made in (dict(("key%d" % i, i) for i in range(n)), dict((i, str(i)) for i in range(n)),
                     dict(((i, str(i)), i) for i in range(n))):
            buf(keep(made), "dict keys", word(id(made) + 40), 24 * (word(id(made) + 32) + 1))
    thinned = dict((i, i) for i in range(100))
    for i in range(60):
        del thinned[i]
    buf(keep(thinned), "dict keys", word(id(thinned) + 40), 24 * (word(id(thinned) + 32) + 1))
    for n in (6, 20, 100, 5000):
        for made in (set("text%d" % i for i in range(n)), set(range(n)), frozenset(object() for _ in range(n))):
            buf(keep(made), "set table", word(id(made) + 40), 16 * (word(id(made) + 32) + 1))
    deque = keep(collections.deque(object() for _ in range(1000)))
    for offset in (16, 24):
        buf(deque, "deque block", word(id(deque) + offset), 512)
    array = keep(bytearray(1000))
    buf(array, "-bytearray buffer", word(id(array) + 40), bytearray.__sizeof__(array) - bytearray.__basicsize__)
    for empty in ({}, {1: 2}, set([1]), []):
        fact("nobuf", "%x" % id(keep(empty)), "%x" % id(type(empty)))


def dump_negatives():
    types = all_types()
    random.Random(3).shuffle(types)
    for k in range(0, len(types) - 16, 5):
        items = keep(types[k:k + 16])
        fact("neg", "%x" % word(id(items) + 24), 128)
    noise = keep(ctypes.create_string_buffer("".join(chr(random.randrange(256)) for _ in range(4096))))
    for off in range(0, 4000, 16):
        fact("neg", "%x" % (ctypes.addressof(noise) + off), 96)


def dump_stack(frame):
    fact("thread", "%x" % thread.get_ident())
    while frame:
        fact("frame", text(frame.f_code.co_filename), text(frame.f_code.co_name), frame.f_lineno)
        frame = frame.f_back
    fact("end-of-thread")


def through_frames_of_all_kinds(wait):
    def generator():
        yield [wait() for _ in (1,)]

    class Body:
        got = sorted([1], key=lambda _: list(generator()) and 1)

        class Inner(object):
            more = property(lambda self: eval("wait()", {"wait": wait}))

    return Body


def thread_that_waits():
    dumped, finish = thread.allocate_lock(), thread.allocate_lock()
    dumped.acquire()
    finish.acquire()

    def wait():
        return dump_stack(sys._getframe()), dumped.release(), finish.acquire()

    started = threading.Thread(target=through_frames_of_all_kinds, args=(wait,))
    started.daemon = True
    started.start()
    dumped.acquire()
    return finish


def dump_and_wait():
    dump_stack(sys._getframe()), close_and_say_ready(), sys.stdin.read()


def close_and_say_ready():
    OUT.close()
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main():
    fact("version", "%d.%d.%d" % sys.version_info[:3])
    dump_strings()
    dump_code()
    dump_buffers()
    dump_negatives()
    dump_objects()
    dump_types()
    gc.disable()
    keep(thread_that_waits())
    through_frames_of_all_kinds(dump_and_wait)


main()
