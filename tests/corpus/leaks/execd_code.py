# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A template compiled and exec'd once, called for every request."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "PAGES[*]",
    "kind": "exec'd code",
    "file": "<template invoice>",
    "line": 4,
    "function": "render",
    "types": ["str"],
    "per_round": {"objects": 1},
}

PAGES = []
SOURCE = """

def render(pages, width):
    pages.append("p" * width)
"""
NAMES = {}
exec(compile(SOURCE, "<template invoice>", "exec"), NAMES)
RENDER = NAMES["render"]


def page():
    RENDER(PAGES, 300)


harness.serve(page, harness.emptying(PAGES))
