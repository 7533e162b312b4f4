# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Allocates in every kind of frame there is, and writes down the stack as the interpreter itself sees it.

"scenario" runs all, each TIMES times, and answers {name: [[stack, objects], ...]}: what is kept in the name of
each, with the stack of the line that made it, innermost frame first, as [file, line, function].
"""
import asyncio
import concurrent.futures
import contextlib
import ctypes
import functools
import importlib
import json
import os
import re
import signal
import sys
import threading
import tracemalloc
import weakref

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus")]
import harness  # noqa: E402

# enough for the adaptive interpreter to specialise the calls
TIMES = 25
KEEP = []
RECORDED = {}
RECORDING = threading.RLock() # several threads write, and what a signal or a finalizer runs amidst of it
SCENARIOS = []


class Types:
    """T.name: a class of that name, made when it is first asked for."""

    def __getattr__(self, name):
        kind = type(name, (), {"__slots__": harness.slots(9), "__module__": "scenario",
                               "__init__": lambda self, _=None: None})
        setattr(self, name, kind)
        return kind


T = Types()


def here(name, objects=1):
    """Writes down the caller's stack: OBJECTS have been kept on the line it is on."""
    frame, stack = sys._getframe(1), []
    while frame is not None:
        code = frame.f_code
        stack.append((code.co_filename, frame.f_lineno, getattr(code, "co_qualname", code.co_name)))
        frame = frame.f_back
    with RECORDING:
        known = RECORDED.setdefault(name, {})
        known[tuple(stack)] = known.get(tuple(stack), 0) + objects


def scenario(function):
    SCENARIOS.append(function)
    return function


@scenario
def plain():
    KEEP.append(T.plain()); here("plain")


@scenario
def nested():
    def outer():
        def inner():
            KEEP.append(T.nested()); here("nested")
        inner()
    outer()


class Service:
    def method(self):
        KEEP.append(T.method()); here("method")

    @classmethod
    def of_class(cls):
        KEEP.append(T.of_class()); here("of_class")

    @staticmethod
    def static():
        KEEP.append(T.static()); here("static")

    @property
    def attribute(self):
        KEEP.append(T.attribute()); here("attribute")
        return 1

    def __getattr__(self, name):
        KEEP.append(T.missing_attribute()); here("missing_attribute")
        return 2

    def __call__(self):
        KEEP.append(T.called()); here("called")

    def __len__(self):
        KEEP.append(T.length()); here("length")
        return 3

    def __format__(self, spec):
        KEEP.append(T.formatted()); here("formatted")
        return spec

    def __eq__(self, other):
        KEEP.append(T.compared()); here("compared")
        return False

    __hash__ = object.__hash__


@scenario
def methods():
    service = Service()
    service.method()
    service.of_class()
    Service.static()
    service.attribute
    service.no_such_thing
    service()
    len(service)
    f"{service:>10}"
    [1, 2].count(service)


class Base:
    def __init__(self):
        KEEP.append(T.base_init()); here("base_init")


class Derived(Base):
    def __init__(self):
        super().__init__()


@scenario
def inheritance():
    Derived()


@scenario
def lambdas():
    (lambda: (KEEP.append(T.lambdas()), here("lambdas")))()


@scenario
def comprehensions():
    [(KEEP.append(T.listcomp()), here("listcomp")) for _ in range(2)]
    {(KEEP.append(T.setcomp()), here("setcomp")) for _ in range(2)}
    {n: (KEEP.append(T.dictcomp()), here("dictcomp")) for n in range(2)}
    list((KEEP.append(T.genexpr()), here("genexpr")) for _ in range(2))
    [[(KEEP.append(T.nestedcomp()), here("nestedcomp")) for _ in range(2)] for _ in range(2)]


def numbers():
    yield 1
    KEEP.append(T.generator()); here("generator")
    yield 2


def delegating():
    yield from numbers2()


def numbers2():
    got = yield 1
    KEEP.append(T.delegated()); here("delegated")
    yield got


def cleaning():
    try:
        yield 1
    finally:
        KEEP.append(T.closed()); here("closed")


def catching():
    try:
        yield 1
    except KeyError:
        KEEP.append(T.thrown()); here("thrown")
        yield 2


@scenario
def generators():
    for _ in numbers():
        pass
    generator = delegating()
    next(generator)
    generator.send(5)
    generator = cleaning()
    next(generator)
    generator.close()
    generator = catching()
    next(generator)
    generator.throw(KeyError())


async def leaf():
    await asyncio.sleep(0)
    KEEP.append(T.coroutine()); here("coroutine")


async def middle():
    await leaf()


async def ticks():
    yield 1
    KEEP.append(T.async_generator()); here("async_generator")
    yield 2


class Guard:
    async def __aenter__(self):
        KEEP.append(T.async_with()); here("async_with")

    async def __aexit__(self, *_):
        pass


async def main():
    await middle()
    async for _ in ticks():
        pass
    async with Guard():
        pass
    await asyncio.gather(asyncio.ensure_future(child()), child())


async def child():
    await asyncio.sleep(0)
    KEEP.append(T.task()); here("task")


LOOP = asyncio.new_event_loop()


@scenario
def coroutines():
    LOOP.run_until_complete(main())


@scenario
def coroutine_by_hand():
    async def bare():
        KEEP.append(T.bare_coroutine()); here("bare_coroutine")
    with contextlib.suppress(StopIteration):
        bare().send(None)


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


@traced
@functools.lru_cache(maxsize=2)
def decorated(number):
    KEEP.append(T.decorated()); here("decorated")


@functools.singledispatch
def dispatched(argument):
    KEEP.append(T.dispatched()); here("dispatched")


@scenario
def decorators():
    decorated(len(KEEP))
    dispatched(1)


@contextlib.contextmanager
def manager():
    yield
    KEEP.append(T.context_exit()); here("context_exit")


@scenario
def context_managers():
    with manager():
        pass


@scenario
def class_bodies():
    class Body:
        KEEP.append(T.class_body()); here("class_body")

    class Meta(type):
        def __new__(cls, *args):
            KEEP.append(T.metaclass()); here("metaclass")
            return super().__new__(cls, *args)

    class Made(metaclass=Meta):
        pass

    class Hooked:
        def __init_subclass__(cls):
            KEEP.append(T.init_subclass()); here("init_subclass")

    class Sub(Hooked):
        pass


if sys.version_info >= (3, 7):
    import dataclasses

    @dataclasses.dataclass
    class Data:
        # __init__ is generated: its file is "<string>"
        field: list = dataclasses.field(default_factory=lambda: (KEEP.append(T.dataclass()), here("dataclass")))

    @scenario
    def dataclass_init():
        Data()


def sort_key(item):
    KEEP.append(T.sort_key()); here("sort_key")
    return item


def substitute(match):
    KEEP.append(T.re_sub()); here("re_sub")
    return "x"


def default(value):
    KEEP.append(T.json_default()); here("json_default")
    return None


def reducer(a, b):
    KEEP.append(T.reduce()); here("reduce")
    return a


def two(a, b=None):
    KEEP.append(T.partial()); here("partial")


@scenario
def c_between():
    sorted([3, 1, 2], key=sort_key)
    list(map(lambda n: (KEEP.append(T.mapped()), here("mapped")), range(2)))
    list(filter(lambda n: (KEEP.append(T.filtered()), here("filtered")), range(2)))
    functools.reduce(reducer, range(3))
    functools.partial(two, 1)(b=2)
    re.sub("a", substitute, "banana")
    json.dumps({"a": object()}, default=default)
    max([1, 2], key=lambda n: (KEEP.append(T.max_key()), here("max_key"), n)[2])


@scenario
def c_makes_it():
    KEEP.extend(map(T.made_by_map, range(3))); here("made_by_map", 3)
    KEEP.extend([functools.partial(T.made_by_partial)()]); here("made_by_partial")


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
QSORT = ctypes.CDLL(None).qsort
QSORT.restype = None
QSORT.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, CALLBACK]
NUMBERS = (ctypes.c_int * 2)(2, 1)


def compare(a, b):
    KEEP.append(T.ctypes_callback()); here("ctypes_callback")
    return 0


COMPARE = CALLBACK(compare)


@scenario
def foreign_callback():
    QSORT(NUMBERS, 2, ctypes.sizeof(ctypes.c_int), COMPARE)


class Dying:
    def __del__(self):
        KEEP.append(T.finalizer()); here("finalizer")


def at_end(_):
    KEEP.append(T.weakref_callback()); here("weakref_callback")


@scenario
def destructors():
    dying = Dying()
    reference = weakref.ref(dying, at_end)
    del dying
    return reference


def handler(number, frame):
    KEEP.append(T.signal_handler()); here("signal_handler")


signal.signal(signal.SIGUSR1, handler)


@scenario
def signals():
    os.kill(os.getpid(), signal.SIGUSR1)


def in_thread():
    KEEP.append(T.thread()); here("thread")


POOL = concurrent.futures.ThreadPoolExecutor(max_workers=2)


@scenario
def threads():
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    for future in [POOL.submit(in_pool) for _ in range(4)]:
        future.result()


def in_pool():
    KEEP.append(T.pool_thread()); here("pool_thread")


TEXT = compile("\n" * 70000 + 'KEEP.append(T.executed()); here("executed")\n', "<far away>", "exec")
EVAL = compile('(KEEP.append(T.evaluated()),\n\n here("evaluated")) if 0 else [KEEP.append(T.evaluated()), here("evaluated")]',
               "<eval>", "eval")
DEFINED = {"KEEP": KEEP, "T": T, "here": here}
exec(compile('''
def made():
    class Inner:
        def method(self):
            KEEP.append(T.execd_method()); here("execd_method")
    Inner().method()
''', "<generated>", "exec"), DEFINED)


@scenario
def dynamic_code():
    exec(TEXT)
    eval(EVAL)
    DEFINED["made"]()
    exec('KEEP.append(T.exec_text()); here("exec_text")')


@scenario
def importing():
    sys.modules.pop("imported", None)
    importlib.import_module("imported")
    sys.modules.pop("imported", None)
    import imported  # noqa: F401


def down(depth):
    if depth:
        return down(depth - 1)
    KEEP.append(T.recursion()); here("recursion")


def way_down(depth):
    if depth == 0:
        KEEP.append(T.deep_recursion()); here("deep_recursion")
    else:
        way_down(depth - 1)


@scenario
def recursion():
    down(30)
    way_down(400)


def mutual_a(depth):
    if depth:
        return [mutual_b(depth - 1) for _ in range(1)]
    KEEP.append(T.mutual()); here("mutual")


def mutual_b(depth):
    return list(map(mutual_a, [depth - 1]))


@scenario
def mutual_recursion():
    mutual_a(16)


@scenario
def many_lines():
    KEEP.append(
        T.inside_brackets(here("inside_brackets"))
    )
    KEEP.extend([
        T.first_of_two(here("first_of_two")),

        T.second_of_two(here("second_of_two")),
    ])
    chosen = (
        T.never()
        if not KEEP else
        T.conditional(here("conditional"))
    )
    KEEP.append(chosen)
    try:
        try:
            raise KeyError
        finally:
            KEEP.append(T.in_finally()); here("in_finally")
    except KeyError:
        KEEP.append(T.in_except()); here("in_except")
    else:
        pass
    for _ in range(2):
        KEEP.append(T.in_loop()); here("in_loop")
    count = 2
    while count:
        count -= 1
        if count:
            continue
        KEEP.append(T.in_while()); here("in_while")


def _long_function():
    """Jumps of more than 127 and 255 lines, forward and back, and bytecode beyond 256 and 65,536 bytes."""
    lines = ["def long_function():", "    x = 0"]
    lines += ["    x = x * 0"] * 300
    lines += ['    KEEP.append(T.after_300_lines()); here("after_300_lines")']
    lines += ["    "] * 200
    lines += ['    KEEP.append(T.after_gap()); here("after_gap")']
    lines += ["    for _ in range(2):"] + ["        x = (x + 1) * 0 - x"] * 6000
    lines += ['        KEEP.append(T.far_in_the_loop()); here("far_in_the_loop")']
    lines += ["    y = [x,"] + [""] * 140 + ['        T.far_element(here("far_element")),'] + [""] * 140 + ["        x]"]
    lines += ["    KEEP.append(y)", "    return (", "        x +"] + [""] * 300
    lines += ['        len([KEEP.append(T.far_operand()), here("far_operand")]))']
    exec(compile("\n".join(lines), "<long>", "exec"), DEFINED)
    return DEFINED["long_function"]


LONG = _long_function()


@scenario
def long_function():
    LONG()


def wide(*args, **kwargs):
    a = b = c = d = e = f = g = h = i = j = 0
    KEEP.append(T.wide_frame()); here("wide_frame")
    return a, b, c, d, e, f, g, h, i, j


@scenario
def wide_frames():
    wide(*range(300), **{"key%d" % n: n for n in range(50)})


def run_all():
    RECORDED.clear()
    failed = {}
    for function in SCENARIOS:
        try:
            for _ in range(TIMES):
                function()
        except Exception as error:
            failed[function.__name__] = repr(error)
    return {"failed": failed, "stacks": {name: [[stack, count] for stack, count in known.items()]
                                         for name, known in RECORDED.items()}}


def judge():
    """The same, and what tracemalloc says of the objects that were kept, without the functions."""
    tracemalloc.start(64)
    recorded = run_all()
    seen = {}
    for item in KEEP:
        for kept in item if isinstance(item, list) else (item,):
            if type(kept).__module__ == "scenario":
                stack = tuple((frame.filename, frame.lineno) for frame in tracemalloc.get_object_traceback(kept))
                if sys.version_info >= (3, 7):  # the oldest first
                    stack = stack[::-1]
                known = seen.setdefault(type(kept).__name__, {})
                known[stack] = known.get(stack, 0) + 1
    tracemalloc.stop()
    recorded["judged"] = {name: [[stack, count] for stack, count in known.items()] for name, known in seen.items()}
    return recorded


def drop():
    KEEP.clear()


if __name__ == "__main__":
    harness.serve(lambda: None, drop, commands={"scenario": run_all, "judge": judge})
