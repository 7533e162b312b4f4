# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Heavy work that keeps nothing: JSON, deepcopy, regular expressions, string building."""
import copy
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness

TRUTH = {
    "kind": "heavy churn",
    "healthy": True,
    "rate": 20,
}

DOCUMENT = {"orders": [{"id": n, "lines": [{"sku": "A%d" % n, "price": n * 1.5}]} for n in range(20)]}
WORD = re.compile(r"([A-Z])([0-9]+)")


def request():
    text = json.dumps(copy.deepcopy(DOCUMENT))
    found = WORD.findall(text)
    back = json.loads(text)
    return "".join(letter + digits for letter, digits in found), back


def drop():
    pass


harness.serve(request, drop)
