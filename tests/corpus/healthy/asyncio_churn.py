# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tasks that start, wait for each other, and end."""
import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "since": "3.6",
    "kind": "asyncio",
    "healthy": True,
    # caches of the interpreter fill in the first seconds: some hundred strings, and then no more
    "silent": "end",
    "rate": 60,
    "seconds": 14,
}

LOOP = asyncio.new_event_loop()


async def fetch(number):
    await asyncio.sleep(0)
    return bytes(number + 100)


async def handle():
    parts = await asyncio.gather(*[fetch(number) for number in range(8)])
    return sum(len(part) for part in parts)


def request():
    LOOP.run_until_complete(handle())


def drop():
    pass


harness.serve(request, drop, warm=600)
