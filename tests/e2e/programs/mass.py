# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A heap of any size, and a thread that runs all the time if it is told to. Each command is one line, answered by "done JSON".

    instances N   keeps N instances of Point      tuples N   keeps N pairs, and as many floats
    mixed N       keeps objects of several types, made and dropped in N rounds that are different in length and kind
    large N       keeps N objects of Large, which are in no pool
    items N       keeps N lists of 20, of a type of its own
    various N     keeps N objects of each of many types
    drop          what was kept last
    spin          begins to run all the time      turns      how many times it has gone round, since the answer before
    work N        serves requests for N ms: how many, and how many in a second of CPU time
    collect N     as many full collections
    ping, quit
"""
import gc
import json
import os
import random
import sys
import threading
import time


class Point(object):
    __slots__ = ("x", "y")


class Pair(object):
    def __init__(self, number):
        self.number = number
        self.name = None


class Large(object):
    __slots__ = tuple("field%d" % i for i in range(100))


class Items(list):
    pass


KEPT = []
NUMBERS = list(range(20))
TURNS = [0]


def instances(number):
    KEPT.append([Point() for _ in range(number)])
    return number


def tuples(number):
    KEPT.append([(i, i + 0.5) for i in range(number)])
    return number


def mixed(number):
    makers = [lambda i: Point(), Pair, lambda i: {"key": i}, lambda i: [i, i + 1], lambda i: "text %d" % i, lambda i: (i, float(i)), float]
    chance = random.Random(11)
    kept = []
    while number > 0:
        # as a program does it: one kind of work after the other, each with objects of its own
        mine = [make for make in makers if chance.random() < 0.5]
        for _ in range(chance.randrange(50, 1500)):
            kept.append([make(number) for make in mine])
            number -= 1
    # and what belongs together goes together
    for begin in range(0, len(kept), 700):
        for i in range(begin, min(begin + chance.randrange(600), len(kept))):
            kept[i] = None
    KEPT.append(kept)
    return len(kept)


def large(number):
    KEPT.append([Large() for _ in range(number)])
    return number


def items(number):
    KEPT.append([Items(NUMBERS) for _ in range(number)])
    return number


def various(number):
    KEPT.append([(Point(), Pair(i), Items(NUMBERS), Large(), {"key": i, "number": i}, [i, number], set([i]), float(i)) for i in range(number)])
    return number


def drop(_):
    KEPT.pop()
    return 0


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


def work(number):
    end, begin = time.perf_counter() + number / 1000.0, time.process_time()
    request = {"names": ["name %d" % i for i in range(40)], "numbers": list(range(100)), "nested": {"a": [{"b": i} for i in range(20)]}}
    served = 0
    while time.perf_counter() < end:
        for _ in range(20):
            json.loads(json.dumps(request))
        served += 20
    return [served, served / (time.process_time() - begin)]


def collect(number):
    for _ in range(number):
        gc.collect()
    return number


def main():
    commands = {"instances": instances, "tuples": tuples, "mixed": mixed, "large": large, "various": various, "items": items, "drop": drop, "spin": spin, "turns": turns, "work": work, "collect": collect, "ping": lambda _: 0}
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
