# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A WeakValueDictionary: entries die with the last user."""
import collections
import os
import sys
import weakref

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "weak-value cache",
    "healthy": True,
}

class Page(object):
    def __init__(self, number):
        self.number = number
        self.body = "b" * 500 + str(number)


CACHE = weakref.WeakValueDictionary()
IN_USE = collections.deque(maxlen=50)
SEQUENCE = [0]


def request():
    SEQUENCE[0] += 1
    key = SEQUENCE[0]
    page = CACHE[key] = Page(key)
    IN_USE.append(page)


def drop():
    pass


harness.serve(request, drop, warm=600)
