# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One of each that 2.7 keeps differently, per round; the lines are marked with the type."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "corpus"))
import harness

KEPT = []


class Classic:
    pass


class New(object):
    __slots__ = ("a",)


def leak():
    number = len(KEPT)
    KEPT.append(Classic())  # instance
    KEPT.append(New())  # __main__.New
    KEPT.append("x%d" % number)  # str
    KEPT.append(u"y%d" % number)  # unicode
    KEPT.append([number, 2])  # list items
    KEPT.append(dict.fromkeys(range(20)))  # dict keys
    KEPT.append(set(range(20)))  # set table
    KEPT.append("z" * (1000 + number % 7))  # str beyond pymalloc


harness.serve(leak, harness.emptying(KEPT))
