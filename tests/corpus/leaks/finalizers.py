# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""weakref.finalize on an object that lives for ever keeps one entry per call."""
import os
import sys
import weakref

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "weakref.finalize._registry[*]",
    "since": "3.6",
    "kind": "callbacks on an immortal object",
    "line_marker": "# LEAK",
    "function": "borrow",
    "types": ["__main__.Lease"],
    "per_round": {"objects": 1},
}

class Pool(object):
    pass


class Lease(object):
    __slots__ = harness.slots(60)

    def __call__(self):
        pass


POOL = Pool()
LEASES = []


def borrow():
    lease = Lease()  # LEAK
    LEASES.append(weakref.finalize(POOL, lease))


def drop():
    for lease in LEASES:
        lease.detach()
    LEASES.clear()


harness.serve(borrow, drop)
