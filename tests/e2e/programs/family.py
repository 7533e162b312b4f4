# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A parent whose children inherit what it keeps, and diverge. "fork N": N children at once; "tell PID" asks one for its truth.

Each child drops some of what it inherited and makes its own, at once and as fast as it can, while the parent does the same: what
the books were at the fork must be right all the same.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402


class Inherited(object):
    __slots__ = harness.slots(6)


class Own(object):
    __slots__ = harness.slots(6)


class Parents(object):
    __slots__ = harness.slots(6)


KEPT = []
OWN = []
CHILDREN = {}


def leak():
    KEPT.append(Inherited())


def own(cls, count):
    for _ in range(count):
        OWN.append(cls())


def churn(count):
    """Addresses are freed and used again, by things of the same size."""
    for i in range(count):
        KEPT[i % len(KEPT)] = Inherited()


def mine():
    return {"Inherited": len(KEPT), "Own": sum(isinstance(each, Own) for each in OWN),
            "Parents": sum(isinstance(each, Parents) for each in OWN)}


def child(number, commands, answers):
    del KEPT[:100 * (number + 1)]
    churn(500)
    own(Own, 150 + number)
    while True:
        line = os.read(commands, 100)
        if not line:
            os._exit(0)
        if line.startswith(b"own"):
            own(Own, 50)
        os.write(answers, (json.dumps(mine()) + "\n").encode())


def fork(count):
    pids = []
    for number in range(int(count)):
        there, back = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            os.close(0)
            os.close(there[1])
            for ours in CHILDREN.values():
                os.close(ours[0])
            child(number, there[0], back[1])
        os.close(there[0])
        os.close(back[1])
        CHILDREN[pid] = (there[1], back[0])
        pids.append(pid)
        churn(300)
        own(Parents, 20)
    del KEPT[:10]
    return {"pids": pids}


def tell(pid, what="tell"):
    there, back = CHILDREN[int(pid)]
    os.write(there, what.encode())
    return json.loads(os.read(back, 1000).decode())


def end(pid):
    for fd in CHILDREN.pop(int(pid)):
        os.close(fd)
    return {"status": os.waitpid(int(pid), 0)[1]}


def replace():
    """From now on another allocator."""
    import tracemalloc
    tracemalloc.start()
    return {}


harness.serve(leak, harness.emptying(KEPT), commands={"replace": replace, "fork": fork, "tell": tell, "mine": mine, "end": end})
