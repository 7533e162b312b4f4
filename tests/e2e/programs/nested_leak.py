# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps objects of a class of its own, made some calls deep. For 2.7, too."""
KEPT = []


class Session(object):
    def __init__(self, n):
        self.data = [1.5 * i for i in range(n)]


def keep(n):
    for _ in range(n):
        KEPT.append(Session(3))


def handle():
    return [keep(50)
            for _ in range(60)]


def main():
    handle()


main()
