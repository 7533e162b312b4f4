# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds of the interpreter beside the usual ones: Debian's debug build is traced; what is no CPython is refused by name.

PYLEAK_DEBUG_PYTHON   another debug build than /usr/bin/python3.11-dbg
"""
import os
import shutil
import subprocess

import pytest

import interpreters
import truth
from conftest import unusable
from process import Child, Tracer, lossless
from test_stacks import check_stacks
from test_types import check_types
from truth import Truth

DEBUG = os.environ.get("PYLEAK_DEBUG_PYTHON", "/usr/bin/python3.11-dbg")
# made of what free lists hand out, which is not seen in code that is not optimised: the line may be that of the block's first use
RECYCLED = {"dict", "list", "tuple", "float"}


@pytest.fixture
def debug():
    if not os.access(DEBUG, os.X_OK):
        unusable("python3.11-dbg is not installed")
    version = subprocess.check_output([DEBUG, "-c", "import sys; print(*sys.version_info[:3])"], universal_newlines=True)
    return interpreters.Interpreter(DEBUG, tuple(map(int, version.split())), False, "debug", None)


@pytest.mark.parametrize("program", truth.programs("leaks"), ids=lambda path: os.path.basename(path)[:-3])
def test_leaks_in_a_debug_build(program, debug, bpf, start):
    case = Truth(program, debug.version)
    target = start(debug, program)
    tracer = Tracer.json(target, "-n", 500)
    done = target.command("round 100")
    final = tracer.stop()
    lossless(final)
    if RECYCLED.isdisjoint(case.types):
        case.check_amount(final, done["rounds"])


def test_stacks_of_a_debug_build(debug, bpf, start):
    check_stacks(start, debug)


def test_types_of_a_debug_build(debug, bpf, start):
    check_types(start, debug, counts=lambda each: each[3] and each[1] not in RECYCLED)


def test_all_freed_in_a_debug_build(debug, bpf, start):
    target = start(debug, "leaks/classes.py")
    tracer = Tracer.json(target)
    before = target.command("mark")["blocks"]
    idle = tracer.fresh()["outstanding"]["objects"]
    target.command("round 500")
    after = target.command("free")["blocks_after"]
    final = tracer.stop()
    lossless(final)
    assert final["outstanding"]["objects"] - idle <= max(0, after - before) + 12


def test_pypy_is_refused_by_name(tool):
    path = shutil.which("pypy3")
    if not path:
        unusable("pypy3 is not installed")
    with Child([path, "-c", "print('ready', flush=True); print(input(), flush=True)"]) as pypy:
        pypy.says("ready")
        for command in (["-p", str(pypy.pid)], ["doctor", "-p", str(pypy.pid)]):
            with Child([tool] + command) as tracer:
                assert tracer.wait() == 3
                assert "PyPy" in tracer.err.text() + tracer.out.text()
        pypy.say("as it was", "as it was")
