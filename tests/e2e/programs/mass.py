# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A heap of any size, and a thread that runs all the time if it is told to. Each command is one line, answered by "done JSON".

    instances N   keeps N instances of Point      tuples N   keeps N pairs, and as many floats
    mixed N       keeps N objects of each of several types, in turns; every third is dropped again, unevenly
    spin          begins to run all the time      turns      how many times it has gone round, since the answer before
    collect N     as many full collections
    ping, quit
"""
import gc
import json
import os
import sys
import threading


class Point(object):
    __slots__ = ("x", "y")


class Pair(object):
    def __init__(self, number):
        self.number = number
        self.name = None


class Rare(object):
    __slots__ = ("a",)


KEPT = []
TURNS = [0]


def instances(number):
    KEPT.append([Point() for _ in range(number)])
    return number


def tuples(number):
    KEPT.append([(i, i + 0.5) for i in range(number)])
    return number


def mixed(number):
    kept = []
    for i in range(number):
        kept.append([Point(), Pair(i), {"key": i}, [i, i + 1], "text %d" % i, (i, float(i))])
        if i % 16 == 0:
            kept[-1].append(Rare())
    # runs of different length go, so that pools differ
    gone = 0
    for begin in range(0, number, 1000):
        length = begin * 7919 % 900
        for i in range(begin, min(begin + length, number)):
            kept[i] = None
            gone += 1
    KEPT.append(kept)
    return number - gone


def spin(_):
    def run():
        while True:
            TURNS[0] += 1

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()
    return 0


def turns(_):
    answer, TURNS[0] = TURNS[0], 0
    return answer


def collect(number):
    for _ in range(number):
        gc.collect()
    return number


def main():
    commands = {"instances": instances, "tuples": tuples, "mixed": mixed, "spin": spin, "turns": turns, "collect": collect, "ping": lambda _: 0}
    gc.disable()
    print("ready %d" % os.getpid())
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        words = line.split()
        if words[0] == "quit":
            break
        print("done " + json.dumps(commands[words[0]](int(words[1]) if len(words) > 1 else 0)))
        sys.stdout.flush()
    os._exit(0)


main()
