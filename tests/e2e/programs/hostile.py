# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Names that want to drive a terminal or break a parser: of files, functions, types and of the command line."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

EVIL = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "two\nlines",
    "carriage\rreturn",
    "quo\"te",
    "back\\slash",
    "'; drop table students; --",
    "</script><script>alert(1)</script>",
    "tab\tand\bbackspace",
    "bell\x07 delete\x7f c1\x9b31m",
    "bidi\u202egnp.exe\u2066\u2069\u200f",
    "zero\u200bwidth\ufeff",
    "surrogate\udc80\ud800",
    "\U0001f40d\u0301combining",
    "{\"growers\": [",
    "%s%n%x",
    "x" * 5000,
    "",
]
KEEP = []
SOURCE = "def leak_it(keep, kind):\n    keep.append(kind())\n"


def replaced(code, field, value):
    if hasattr(code, "replace"):
        return code.replace(**{field: value})
    fields = ("argcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts", "names", "varnames", "filename",
              "name", "firstlineno", "lnotab", "freevars", "cellvars")
    return type(code)(*[value if field == "co_" + name else getattr(code, "co_" + name) for name in fields])


def variant(number, text):
    names = {}
    try:
        code = compile(SOURCE, "/srv/" + text, "exec")
    except (ValueError, UnicodeError):
        code = compile(SOURCE, "/srv/plain", "exec")
    exec(code, names)
    function = names["leak_it"]
    more = {"co_qualname": "Outer." + text} if sys.version_info >= (3, 11) else {}
    for field, value in dict({"co_name": text, "co_filename": "/srv/%d-%s" % (number, text)}, **more).items():
        try:
            function.__code__ = replaced(function.__code__, field, value)
        except (ValueError, UnicodeError):
            pass
    kind = type("Kind%d" % number, (), {"__slots__": harness.slots(10), "__module__": "m" + text, "__qualname__": "Q" + text})
    return function, kind


VARIANTS = [variant(number, text) for number, text in enumerate(EVIL)]


def leak():
    for function, kind in VARIANTS:
        function(KEEP, kind)


harness.serve(leak, KEEP.clear)
