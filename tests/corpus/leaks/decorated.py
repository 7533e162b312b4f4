# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The leaking function sits behind two decorators."""
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "ORDERS[*]",
    "kind": "decorator-wrapped",
    "line_marker": "# LEAK",
    "function": "save",
    "types": ["__main__.Order"],
    "per_round": {"objects": 1},
}

ORDERS = []


class Order(object):
    __slots__ = harness.slots(12)


def checked(function):
    @functools.wraps(function)
    def check(*args, **kwargs):
        return function(*args, **kwargs)
    return check


def retried(times):
    def decorate(function):
        @functools.wraps(function)
        def retry(*args, **kwargs):
            for _ in range(times):
                if function(*args, **kwargs):
                    break
        return retry
    return decorate


@retried(3)
@checked
def save(**fields):
    ORDERS.append(Order())  # LEAK
    return True


def request():
    save(customer=1)


harness.serve(request, harness.emptying(ORDERS))
