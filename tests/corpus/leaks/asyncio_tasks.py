# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""asyncio tasks that wait for an event nobody sets."""
import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "TASKS[*]",
    "since": "3.6",
    "kind": "asyncio tasks never finished",
    "line_marker": "# LEAK",
    "function": "session",
    "types": ["list items", "list"],
    "per_round": {"objects": 1, "bytes": 4000},
}

LOOP = asyncio.new_event_loop()
TASKS = []
SIZE = 500


async def session(never):
    window = [None] * SIZE  # LEAK
    await never
    return window


def turn():
    LOOP.call_soon(LOOP.stop)
    LOOP.run_forever()


def accept():
    TASKS.append(LOOP.create_task(session(LOOP.create_future())))
    turn()


def drop():
    for task in TASKS:
        task.cancel()
    TASKS.clear()
    turn()
    turn()


harness.serve(accept, drop)
