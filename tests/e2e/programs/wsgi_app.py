# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps as many sessions as the query string says; answers with how many more blocks there are."""
import sys

KEPT = []


class Session:
    __slots__ = ("a", "b")


def application(environ, start_response):
    before = sys.getallocatedblocks()
    for _ in range(int(environ["QUERY_STRING"] or 0)):
        KEPT.append(Session())  # LEAK
    grown = sys.getallocatedblocks() - before
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % grown]
