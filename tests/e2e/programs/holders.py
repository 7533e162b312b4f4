# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Objects that are held in as many ways as there are names for, each a class of its own. EXPECTED says by whom.

    expected   {class: [kind of root, the way from the root on, joined]}
    counts     {address of an object: references to it}, of objects that only Python refers to
    objgraph   {class: [how many objgraph counts, the module at the begin of its chain of referrers, types of referrers]}, of what modules hold
    churn      makes and drops what refers to objects until the next command
    ping, quit
"""
import collections
import ctypes
import functools
import gc
import json
import os
import select
import sys
import threading
import types
import weakref

MANY = 40
EXPECTED = {}
HIDDEN = []  # what holds the ends of what is tried without being a way to it


def kind(name, root, way):
    """A class whose instances must be found to be held so; without a collector's head where PLAIN."""
    made = type(str(name), (object,), {"__module__": "__main__"})
    EXPECTED["__main__." + name] = [root, way]
    return made


def many(name, root, way):
    made = kind(name, root, way)
    return [made() for _ in range(MANY)]


GLOBAL = kind("Global", "module", "__main__.GLOBAL")()
LIST = many("InList", "module", "__main__.LIST[*]")
TUPLE = tuple(many("InTuple", "module", "__main__.TUPLE[*]"))
SET = set(many("InSet", "module", "__main__.SET{*}"))
DEQUE = collections.deque(many("InDeque", "module", "__main__.DEQUE[*]"))
DEQUE.rotate(7)
DICT = dict(enumerate(many("InDict", "module", "__main__.DICT[*]")))
NAMED = {"sessions": kind("InNamed", "module", "__main__.NAMED['sessions']")(), "a secret, not a name": kind("InSecret", "module", "__main__.NAMED[*]")()}
KEYS = dict.fromkeys(many("AsKey", "module", "__main__.KEYS{key}"))
ONE = [None, [kind("Third", "module", "__main__.ONE[1][0]")()]]


class Attributes(object):
    def __init__(self):
        self.first = 1
        self.held = kind("InAttribute", "module", "__main__.ATTRIBUTES.held")()


class Slots(object):
    __slots__ = ("first", "held")


class Materialised(Attributes):
    pass


ATTRIBUTES = Attributes()
SLOTS = Slots()
SLOTS.held = kind("InSlot", "module", "__main__.SLOTS.held")()
MATERIALISED = Materialised()
MATERIALISED.held = kind("InMaterialised", "module", "__main__.MATERIALISED.held")()
MATERIALISED.__dict__["more"] = 2
INSTANCES = [Attributes() for _ in range(MANY)]
INSTANCES_OF = many("OfInstances", "module", "__main__.INSTANCES[*].held")
for number, instance in enumerate(INSTANCES):
    instance.held = INSTANCES_OF[number]
del INSTANCES_OF, instance


class Items(list):
    pass


class Mapping(dict):
    pass


class Pair(tuple):
    pass


ITEMS = Items(many("InItems", "module", "__main__.ITEMS[*]"))
ITEMS.held = kind("OfItems", "module", "__main__.ITEMS.held")()
MAPPING = Mapping(enumerate(many("InMapping", "module", "__main__.MAPPING[*]")))
MAPPING.held = kind("OfMapping", "module", "__main__.MAPPING.held")()
PAIR = Pair(many("InPair", "module", "__main__.PAIR[*]"))
PAIR.held = kind("OfPair", "module", "__main__.PAIR.held")()


class Holder(object):
    held = kind("OfClass", "class", "__main__.Holder.held")()
    registry = many("InRegistry", "class", "__main__.Holder.registry[*]")


def with_default(argument=kind("AsDefault", "module", "__main__.with_default.__defaults__[0]")()):
    return argument


def with_attribute():
    pass


with_attribute.held = kind("OfFunction", "module", "__main__.with_attribute.held")()


def closing():
    kept = many("InClosure", "module", "__main__.CLOSURE.__closure__['kept'][*]")

    def inner():
        return kept
    return inner


CLOSURE = closing()


def generating():
    paused = kind("InGenerator", "module", "__main__.GENERATOR.gi_frame.f_locals['paused']")()
    yield paused
    yield paused


GENERATOR = generating()
next(GENERATOR)


class Service(object):
    def method(self):
        pass


SERVICE = Service()
SERVICE.held = kind("OfSelf", "module", "__main__.METHOD.%s.held" % ("__self__" if sys.version_info >= (3,) else "im_self"))()
METHOD = SERVICE.method
del SERVICE
PARTIAL = functools.partial(with_default, kind("InPartial", "module", "__main__.PARTIAL.args[0]")(), held=kind("InPartialToo", "module", "__main__.PARTIAL.keywords['held']")())


def failing():
    body = kind("InTraceback", "module", "")()
    raise ValueError(id(body))


try:
    failing()
except ValueError as error:
    FAILED = error
if sys.version_info >= (3,):
    EXPECTED["__main__.InTraceback"][1] = "__main__.FAILED.__traceback__.tb_next.tb_frame.f_locals['body']"
    CAUSED = ValueError()
    CAUSED.__cause__ = KeyError(kind("InCause", "module", "__main__.CAUSED.__cause__.args[0]")())
else:
    del EXPECTED["__main__.InTraceback"]

MODULE = types.ModuleType("not_imported")
MODULE.held = kind("OfModule", "module", "__main__.MODULE.held")()


class Node(object):
    pass


EXPECTED["__main__.Node"] = ["module", u"__main__.CHAIN.next\u2026"]
CHAIN = Node()
link = CHAIN
for _ in range(2000):
    link.next = Node()
    link = link.next
del link

WEAK = weakref.WeakSet()
gc.disable()
Circle = kind("Circle", "garbage", "(__main__.Circle)")
left, right = Circle(), Circle()
left.other, right.other = right, left
WEAK.add(left)  # does not hold it
REFERENCE = weakref.ref(right)
del left, right
Leaked = kind("Leaked", "c-reference", "(__main__.Leaked)")


def leak():
    leaked = Leaked()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(leaked))


for _ in range(MANY):
    leak()
ALONE = kind("Alone", "module", "__main__.ALONE")()


def looping(each):
    """Nothing but the loop itself holds what it goes through."""
    for one in [[made] for made in each]:
        STOP.wait()
        return one


def running(ready):
    local = kind("InFrame", "frame", "local")()
    batch = many("InBatch", "frame", "batch[*]")
    ready.set()
    STOP.wait()
    return local, batch


STOP, ready = threading.Event(), threading.Event()
for thread in (threading.Thread(target=running, args=(ready,)),
               threading.Thread(target=looping, args=(iter(many("InLoop", "frame", "(evaluation stack)")),))):
    thread.daemon = True
    thread.start()
    del thread
ready.wait()


def counts():
    found = {}
    for take in (lambda: GLOBAL, lambda: LIST[3], lambda: DICT[7], lambda: NAMED["sessions"], lambda: ATTRIBUTES.held, lambda: SLOTS.held,
                 lambda: Holder.held, lambda: ALONE):
        each = take()
        # without the variable's, and the call's own, which is lent since 3.14
        found["0x%x" % id(each)] = sys.getrefcount(each) - (1 if sys.version_info >= (3, 14) else 2)
        del each
    return found


def ask_objgraph():
    import objgraph

    found = {}
    for name, (root, _) in EXPECTED.items():
        objects = [each for each in gc.get_objects() if type(each).__module__ + "." + type(each).__name__ == name] if root == "module" else []
        if not objects:
            continue  # not tracked
        chain = objgraph.find_backref_chain(objects[0], objgraph.is_proper_module, extra_ignore=[id(objects)])
        referrers = {type(each).__name__ for each in gc.get_referrers(objects[0]) if each is not objects and each is not chain}
        found[name] = [len(objects), getattr(chain[0], "__name__", None), sorted(referrers - {"frame"})]
    return found


def say(word, value):
    sys.stdout.write("%s %s\n" % (word, json.dumps(value)))
    sys.stdout.flush()


def main():
    say("ready", os.getpid())
    while True:
        line = sys.stdin.readline().split()
        if not line or line[0] == "quit":
            os._exit(0)
        if line[0] == "churn":
            while not select.select([sys.stdin], [], [], 0)[0]:
                again = [[each] for each in LIST]
                DICT[len(again)] = again
                del DICT[len(again)]
            say("done", {})
            continue
        say("done", EXPECTED if line[0] == "expected" else counts() if line[0] == "counts" else
            ask_objgraph() if line[0] == "objgraph" else {})


main()
