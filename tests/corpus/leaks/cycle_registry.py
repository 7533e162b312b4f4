# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Parents and children in a cycle, held by a registry: the collector runs and may not free them."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "holder": "REGISTRY[*]",
    "kind": "cycle held by a registry",
    "line_marker": "# LEAK",
    "function": {"2.7": "grow", "3.11": "Tree.grow"},
    "types": ["__main__.Leaf"],
    "per_round": {"objects": 4},
}

REGISTRY = []


class Leaf(object):
    __slots__ = ("tree",) + harness.slots(15)


class Tree(object):
    __slots__ = ("a", "b", "c", "d")

    def grow(self):
        self.a, self.b, self.c, self.d = Leaf(), Leaf(), Leaf(), Leaf()  # LEAK
        self.a.tree = self.b.tree = self.c.tree = self.d.tree = self


def plant():
    tree = Tree()
    tree.grow()
    REGISTRY.append(tree.a)


harness.serve(plant, harness.emptying(REGISTRY))
