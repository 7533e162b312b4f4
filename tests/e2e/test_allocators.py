# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whatever allocates in the target: debug hooks, tracemalloc, plain malloc, an extension's functions. The truth is the target's own."""
import os
import shutil
import subprocess

import pytest

from conftest import unusable
from process import CORPUS, HERE, Tracer, lossless
from test_recycled import IN_FLIGHT
from test_stacks import check_stacks
from test_types import check_buffers, check_types
from truth import Truth, brief

CONFIGS = {
    "malloc": {"PYTHONMALLOC": "malloc"},
    "malloc_debug": {"PYTHONMALLOC": "malloc_debug"},
    "pymalloc_debug": {"PYTHONMALLOC": "pymalloc_debug"},
    "devmode": {"PYTHONDEVMODE": "1"},
    "tracemalloc": {"PYTHONTRACEMALLOC": "1"},
    "tracemalloc_debug": {"PYTHONTRACEMALLOC": "5", "PYTHONMALLOC": "debug"},
}
PROGRAM = os.path.join(HERE, "programs", "allocators.py")
SIZES = {"__main__.Session": (32, 64), "dict": (64, 80), "bytes": (433, 448)}  # to 3.7 the GC head has 32 bytes
SLACK = 16

pytestmark = pytest.mark.sampled
configs = pytest.mark.parametrize("config", CONFIGS)


@pytest.fixture(scope="session")
def hook(tmp_path_factory):
    """The extension that hooks the allocator."""
    compiler = shutil.which("gcc")
    if not compiler:
        unusable("gcc is missing")
    library = str(tmp_path_factory.mktemp("hook") / "hook.so")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", library, os.path.join(HERE, "programs", "hook.c")], check=True)
    return library


def line_of(name):
    with open(PROGRAM, encoding="utf-8") as source:
        return [number for number, line in enumerate(source, 1) if line.endswith("  # %s\n" % name)][0]


def check_leaks(final, rounds, spare=0):
    """Each leak of the program on its line, with its type, in its number and size; nothing else on these lines but what it owns."""
    for name in ("Session", "dict", "bytes", "bytearray"):
        kind = "__main__.Session" if name == "Session" else name
        rows = [row for row in final["growers"] if row["stack"] and row["stack"][0]["file"] == PROGRAM
                and row["stack"][0]["line"] == line_of(name)]
        found = sum(row["objects"] for row in rows if row["type"] == kind)
        assert rounds - spare <= found <= rounds + spare, (name, found, brief(final))
        if kind in SIZES:
            least, most = SIZES[kind]
            size = sum(row["bytes"] for row in rows if row["type"] == kind)
            assert least * found <= size <= most * found, (name, size, found)
        others = {row["type"] for row in rows} - {kind, "list items", "dict keys", "bytearray buffer", "(buffer)"}
        assert not others, brief(final)


@configs
@pytest.mark.parametrize("program", ["leaks/classes.py", "leaks/bytearrays_kept.py", "leaks/list_of_ints.py",
                                     "leaks/pymem_raw_malloc.py", "leaks/threads.py"], ids=lambda path: os.path.basename(path)[:-3])
def test_leak_is_exact(config, program, interpreter, bpf, start):
    truth = Truth(os.path.join(CORPUS, program), interpreter.version)
    target = start(interpreter, truth.path, env=CONFIGS[config])
    tracer = Tracer.json(target, "-n", 30)
    done = target.command("round 400")
    final = tracer.stop()
    lossless(final)
    truth.check_first(final)
    truth.check_amount(final, done["rounds"])


@configs
def test_all_freed_is_nothing_outstanding(config, interpreter, bpf, start):
    target = start(interpreter, PROGRAM, env=CONFIGS[config])
    tracer = Tracer.json(target, "-n", 50)
    target.command("round 1000")
    target.command("threads")
    target.command("free")
    final = tracer.stop()
    lossless(final)
    left = [row for row in final["growers"] if row["stack"] and row["stack"][0]["file"] == PROGRAM and row["objects"] > SLACK]
    assert not left, brief(dict(final, growers=left))


@configs
def test_types_are_right(config, interpreter, bpf, start):
    check_types(start, interpreter, CONFIGS[config])


@pytest.mark.parametrize("config", ["malloc", "pymalloc_debug", "tracemalloc"])
def test_stacks_are_right(config, debian, bpf, start):
    check_stacks(start, debian, env=CONFIGS[config])


@configs
def test_buffers_are_right(config, debian, bpf, start):
    """Memory that is no object: what it is for."""
    check_buffers(start, debian, CONFIGS[config])


@pytest.mark.parametrize("which", ["all", "gil"])
def test_hook_of_an_extension(which, interpreter, hook, bpf, start):
    """The functions are in another file than the interpreter, and call the interpreter's own."""
    target = start(interpreter, PROGRAM, hook, which)
    tracer = Tracer.json(target, "-n", 200)
    before = target.command("calls")["calls"]
    done = target.command("round 300")
    assert target.command("calls")["calls"] > before + 1200
    target.command("threads")
    final = tracer.stop()
    lossless(final)
    # static free lists are not seen: some come from there
    check_leaks(final, done["rounds"], spare=IN_FLIGHT if interpreter.version < (3, 10) else 0)


@pytest.mark.parametrize("change", ["tracemalloc", "hook all", "hook gil"])
def test_allocator_is_replaced_while_traced(change, interpreter, hook, bpf, start, *options):
    """Noticed, followed and said; what comes after is exact."""
    target = start(interpreter, PROGRAM, hook)
    tracer = Tracer.json(target, "-n", 200, *options)
    first = target.command("round 200")["rounds"]
    snapshot = tracer.fresh()
    assert snapshot["processes"][0]["coverage"] == "full"
    for step, state in enumerate(("on", "off"), 1):
        target.command("%s %s" % (change, state))
        process = tracer.fresh()["processes"][0]
        assert process["coverage"] == "partial" and "replaced its allocator" in process["coverage_note"], process
        target.command("round 200")
    final = tracer.stop()
    assert not any(final["lost"].values()), final["lost"]
    check_leaks(final, first * 3, spare=IN_FLIGHT)
    target.command("free")


@pytest.mark.parametrize("change", ["tracemalloc", "hook all", "hook gil"])
def test_replaced_where_probes_are_active_everywhere(change, debian, hook, bpf, start):
    test_allocator_is_replaced_while_traced(change, debian, hook, bpf, start, "--children")


@pytest.mark.parametrize("change", ["tracemalloc", "hook all"])
def test_replaced_and_all_freed(change, interpreter, hook, bpf, start):
    """Blocks of before, during and after, given back at the end: none is left over."""
    target = start(interpreter, PROGRAM, hook)
    tracer = Tracer.json(target, "-n", 200)
    for state in ("on", "off"):
        target.command("round 300")
        target.command("%s %s" % (change, state))
        tracer.fresh()
    target.command("round 300")
    target.command("free")
    final = tracer.stop()
    left = [row for row in final["growers"] if row["stack"] and row["stack"][0]["file"] == PROGRAM and row["objects"] > 2 * SLACK]
    assert not left, brief(dict(final, growers=left))


def test_functions_that_are_in_no_file(interpreter, hook, bpf, start):
    """No probe can be placed there: refused by name, and unharmed."""
    target = start(interpreter, PROGRAM, hook, "thunks")
    tracer = Tracer("--json", target=target, check=False)
    assert tracer.wait() == 3
    assert "memory that is no file" in tracer.err.text(), tracer.err.text()
    target.check_alive()


def test_replaced_by_functions_that_are_in_no_file(interpreter, hook, bpf, start):
    """What they call inside is still counted; that others may not be is said, until they are gone."""
    target = start(interpreter, PROGRAM, hook)
    tracer = Tracer.json(target, "-n", 200)
    target.command("hook thunks on")
    process = tracer.fresh()["processes"][0]
    assert process["coverage"] == "partial" and "memory that is no file" in process["coverage_note"], process
    target.command("hook thunks off")
    done = target.command("round 200")
    check_leaks(tracer.stop(), done["rounds"], spare=IN_FLIGHT)


@configs
def test_run_from_the_first_allocation(config, interpreter, bpf, tmp_path):
    """`run`: the interpreter chooses its allocator while it is traced already."""
    program = tmp_path / "leaks.py"
    program.write_text("class Session:\n    __slots__ = ('a', 'b')\n\n\nKEPT = [Session() for _ in range(700)]\nprint('done')\n")
    tracer = Tracer("run", "--json", "-o", str(tmp_path / "out"), "-n", "3000", "--group-by", "type", "--", interpreter.path, str(program), check=False,
                    env=CONFIGS[config])
    assert tracer.wait() == 0, tracer.err.text()
    assert tracer.out.text() == "done\n"
    final = tracer.parse((tmp_path / "out").read_text().splitlines()[-1])
    lossless(final)
    found = sum(row["objects"] for row in final["growers"] if row["type"] == "__main__.Session")
    assert found == 700, brief(final)


def test_run_knows_what_was_no_object_yet(interpreter, bpf, tmp_path):
    """A reading between an allocation and its type, as long as a collection takes (to 3.11 that comes between), and then the end."""
    program = tmp_path / "program.py"
    program.write_text("import gc\n"
                       "gc.disable()\n"
                       "class Session(object):\n    __slots__ = ('a', 'b')\n"
                       "MUCH = [None] * 20000000\n"
                       "gc.set_threshold(1, 1, 1)\n"
                       "gc.enable()\n"
                       "KEPT = Session()\n")
    tracer = Tracer("run", "--json", "-i", 0.1, "-o", str(tmp_path / "out"), "-n", "3000", "--group-by", "type", "--", interpreter.path, str(program),
                    check=False)
    assert tracer.wait() == 0, tracer.err.text()
    final = tracer.parse((tmp_path / "out").read_text().splitlines()[-1])
    lossless(final)
    assert sum(row["objects"] for row in final["growers"] if row["type"] == "__main__.Session") == 1, brief(final)


@pytest.mark.parametrize("config", [None, "tracemalloc"])
def test_run_keeps_what_it_saw_before_the_end(config, interpreter, bpf, tmp_path):
    """An interpreter that takes its time to end, when its objects and their class have gone already."""
    program = tmp_path / "program.py"
    program.write_text("import sys\n"
                       "class Session:\n    __slots__ = ('a', 'b', '__weakref__')\n"
                       "KEPT = [Session() for _ in range(700)]\n"
                       "from late import Late\n"
                       "sys.late = Late(Session)\n")
    # a module of its own: it keeps its globals alive
    (tmp_path / "late.py").write_text("import os, time, weakref\n"
                                      "class Late:\n"
                                      "    def __init__(self, kind):\n"
                                      "        self.kind = weakref.ref(kind)\n"
                                      "    def __del__(self, write=os.write, sleep=time.sleep):\n"
                                      "        write(1, b'gone\\n' if self.kind() is None else b'still there\\n')\n"
                                      "        sleep(2)\n")
    tracer = Tracer("run", "--json", "-i", 1, "-o", str(tmp_path / "out"), "-n", "3000", "--group-by", "type", "--", interpreter.path, str(program),
                    check=False, env=CONFIGS.get(config))
    assert tracer.wait() == 0, tracer.err.text()
    assert tracer.out.text() == "gone\n"
    final = tracer.parse((tmp_path / "out").read_text().splitlines()[-1])
    lossless(final)
    assert sum(row["objects"] for row in final["growers"] if row["type"] == "__main__.Session") == 700, brief(final)
