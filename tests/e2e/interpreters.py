# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The interpreters of this machine: Debian's own, every supported one under `pyenv root`, and those that PYLEAK_PYTHONS
names (paths with colons between; programs that lead to an interpreter will do, as long as they exec).

PYLEAK_ROOTS=DIR[:DIR...] names roots of other systems instead: their /usr/bin/python3, run in containers (check-interpreters.sh).
"""
import collections
import glob
import json
import os
import subprocess

import roots

SYSTEM_PYTHON = "/usr/bin/python3"
SUPPORTED = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
OPTIONAL = ("3.14",)  # pyenv's list may end before it: not missed where it is not

Interpreter = collections.namedtuple("Interpreter", "path version shared origin missing root", defaults=(None,))

_ASK = """
import json, sys, sysconfig
print(json.dumps([list(sys.version_info[:3]), bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))]))
"""


def _describe(path, origin):
    # Debian's sysconfig speaks of the libpython it also ships; what the program itself maps decides
    answer = subprocess.run([path, "-E", "-s", "-c", _ASK + "print(open('/proc/self/maps').read())"],
                            stdout=subprocess.PIPE, universal_newlines=True, check=True, timeout=30).stdout
    head, _, maps = answer.partition("\n")
    version, _ = json.loads(head)
    return Interpreter(path, tuple(version), "/libpython" in maps, origin, None)


def pyenv_root():
    root = os.environ.get("PYENV_ROOT")
    if not root:
        try:
            root = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  universal_newlines=True, timeout=30).stdout.strip()
        except OSError:
            root = ""
    return root if root and os.path.isdir(root) else None


def in_roots(supported=True):
    """The interpreters of PYLEAK_ROOTS; those that the tool refuses, with SUPPORTED false."""
    found = []
    for root in filter(None, os.environ.get("PYLEAK_ROOTS", "").split(":")):
        version = roots.describe(root)
        if version is None:
            found.append(Interpreter(SYSTEM_PYTHON, (0, 0, 0), False, os.path.basename(root), root + " has no python3", root))
        elif ("%d.%d" % version[:2] in SUPPORTED + OPTIONAL) == supported:
            found.append(Interpreter(SYSTEM_PYTHON, version, False, os.path.basename(root), None, root))
    return found


def find():
    """A list of Interpreter; a version that is not here is in it too, with MISSING saying what is."""
    if os.environ.get("PYLEAK_ROOTS"):
        return in_roots()
    found = []
    if os.access(SYSTEM_PYTHON, os.X_OK):
        found.append(_describe(SYSTEM_PYTHON, "debian"))
    else:
        found.append(Interpreter(SYSTEM_PYTHON, (0, 0, 0), False, "debian", SYSTEM_PYTHON + " is missing"))
    root = pyenv_root()
    for version in SUPPORTED + OPTIONAL:
        paths = sorted(glob.glob(os.path.join(root, "versions", version + ".*", "bin", "python" + version))) if root else []
        paths = [path for path in paths if os.access(path, os.X_OK)]
        if paths:
            found.append(_describe(paths[-1], "pyenv"))
        elif version in SUPPORTED:
            why = "pyenv has no CPython %s" % version if root else "pyenv is not installed"
            found.append(Interpreter(None, tuple(map(int, version.split("."))) + (0,), True, "pyenv", why))
    return found + [_describe(path, "named") for path in os.environ.get("PYLEAK_PYTHONS", "").split(":") if path]


def name(interpreter):
    if interpreter.root:
        return "%s-%d.%d" % ((interpreter.origin,) + interpreter.version[:2])
    number = ".".join(map(str, interpreter.version)) if not interpreter.missing else \
        ".".join(map(str, interpreter.version[:2])) + "-missing"
    return "%s-%s-%s" % (interpreter.origin, number, "shared" if interpreter.shared else "static")
