# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Interpreters with a GIL of their own and the main one, all of which allocate at the same time.

"make N": makes N of them; "keep": each, the main one included, makes objects of its own class in two threads for a while, of which it keeps
some, and tells how many; "drop": each drops them; "end": all but the main one are destroyed.
"""
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402
from subinterpreters import create, interpreters, run  # noqa: E402

SOURCE = """
import os
import threading

class Session%(k)d:
    pass

def fill(found, rounds, size):
    for i in range(rounds):
        Session%(k)d()
        [bytes(size), {i: (i, 1.5 * i)}]
        found.append(Session%(k)d())  # line 12
        found.append(bytes(size))
        found.append(bytearray(20000 + size))
        if i %% 64 == 0:
            os.getpid()

kept = []

def keep(rounds, size):
    parts = [[], []]
    threads = [threading.Thread(target=fill, args=(part, rounds, size)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.extend(parts)
    return sum(len(part) for part in kept) // 3
"""
OTHERS = {}
MAIN = {"__name__": "__main__"}


def source_of(number):
    return "exec(compile(%r, '<interpreter %d>', 'exec'))" % (SOURCE % {"k": number}, number)


exec(compile(SOURCE % {"k": 0}, "<interpreter 0>", "exec"), MAIN)


def make(count):
    for number in range(len(OTHERS) + 1, len(OTHERS) + 1 + count):
        OTHERS[number] = create(isolated=True)
        run(OTHERS[number], source_of(number))
    return {"made": count}


def keep():
    """Each says by a pipe when it is ready, and begins when all are."""
    told, ready, go = os.pipe(), os.pipe(), os.pipe()
    rounds = 1500

    def other(number, interpreter):
        run(interpreter, "import os\nos.write(%d, b'.')\nos.read(%d, 1)\ncount = keep(%d, %d)\nos.write(%d, b'%d %%d\\n' %% count)"
            % (ready[1], go[0], rounds, 600 + 16 * number, told[1], number))

    threads = [threading.Thread(target=other, args=item) for item in OTHERS.items()]
    for thread in threads:
        thread.start()
    for _ in threads:
        os.read(ready[0], 1)
    os.write(go[1], b"." * len(threads))
    found = {0: MAIN["keep"](rounds, 600)}
    for thread in threads:
        thread.join()
    os.close(told[1])
    with os.fdopen(told[0], "rb") as file:
        for line in file:
            number, count = line.split()
            found[int(number)] = int(count)
    for fd in ready + go:
        os.close(fd)
    return {"kept": sorted(found.items())}


def drop():
    threads = [threading.Thread(target=run, args=(interpreter, "kept.clear()")) for interpreter in OTHERS.values()]
    for thread in threads:
        thread.start()
    MAIN["kept"].clear()
    for thread in threads:
        thread.join()
    return {}


def end():
    for interpreter in OTHERS.values():
        interpreters.destroy(interpreter)
    OTHERS.clear()
    return {}


COMMANDS = {"keep": keep, "drop": drop, "end": end, "make": lambda: make(3), "make1": lambda: make(1)}
harness.serve(lambda: None, lambda: None, warm=1, commands=COMMANDS)
