# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The whole tool with one wrong offset in its layout (spoilt_tool.c): it counts, and shows right names or none.

The offsets that decide about names alone are spoilt one by one in tests/unit/python/live_spoilt.c; here are those of which only the BPF programs
make use, and one for each reason why names are not told.
"""
import json
import os
import shutil
import subprocess

import pytest

from process import HERE, PATIENCE, PYLEAK

PROGRAM = os.path.join(HERE, "programs", "nested_leak.py")
TOOL = os.path.join(os.path.dirname(PYLEAK), "tests", "e2e", "spoilt_tool")
KEPT = 3000
CHANCE = 20  # a type of which there are less may be there in one run only
WALK = ["tstate_frame", "cframe_current", "frame_code", "frame_back", "frame_lasti", "frame_owner", "gil_last_holder", "code_instr", "tstate_thread_id",
        "runtime_tstate_current"]
NAMES = ["type_name", "type_flags", "type_dict", "heap_type_qualname", "str_state", "keys_indices", "code_filename", "code_name"]
UNKNOWN = (None, None, None)


def own_copy(interpreter, folder):
    """`run` probes a file, so that other tests would see it: what is in one file gets another one. It finds its library by itself."""
    if interpreter.shared:
        return interpreter.path
    copy = str(folder / "python")
    shutil.copy(os.path.realpath(interpreter.path), copy)
    return copy


def run(path, spoilt=None):
    """The last report; None: this layout was refused."""
    environment = dict(os.environ, PYTHONHASHSEED="0")
    environment.pop("SPOILT", None)
    if spoilt:
        environment["SPOILT"] = spoilt
    done = subprocess.run([TOOL, "run", "--json", "-n", "100000", "--", path, "-S", "-E", "-B", PROGRAM], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    if done.returncode == 3:
        assert not done.stdout and b"pyleak-bpf: " in done.stderr, done.stderr
        return None
    assert done.returncode in (0, 5), (done.returncode, done.stderr)  # 5: what was lost is said
    return json.loads(done.stdout.splitlines()[-1])


def places(report):
    return {(frame["file"], frame["line"], frame["function"]) for row in report["growers"] for frame in row["stack"]}


def leak(report, name):
    """Objects of the leaked type by where they were made, the innermost frame first."""
    found = {}
    for row in report["growers"]:
        if row["type"] == name:
            where = tuple((frame["line"], frame["function"]) for frame in row["stack"])
            found[where] = found.get(where, 0) + row["objects"]
    return found


def silently_cut(report, name, true_leak):
    """Stacks of the leak that end too early and do not say so."""
    found = []
    for row in report["growers"]:
        where = tuple((frame["line"], frame["function"]) for frame in row["stack"])
        if row["type"] == name and where not in true_leak and UNKNOWN[1:] not in where and not row.get("stack_truncated"):
            found.append(where)
    return found


def may_be(place):
    """What one run has and another has not, as where a table grows: of a library, and in its source."""
    path, line, function = place
    if not path or path == PROGRAM or not os.path.isfile(path):
        return path is not None and path.startswith("<frozen ") and function is not None
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return (line or 1) <= text.count("\n") + 1 and (function.startswith("<") or function.split(".")[-1].strip("<>") in text)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The program to run, and what a tool that was left alone says of it, for each interpreter."""
    reports = {}

    def of(interpreter):
        if interpreter.path not in reports:
            path = own_copy(interpreter, tmp_path_factory.mktemp("python"))
            reports[interpreter.path] = [path, run(path), run(path)]
        return reports[interpreter.path]

    return of


def check(interpreter, sound, field, shift):
    path, first, second = sound(interpreter)
    name = "__main__.Session"
    true_leak = leak(first, name)
    assert first["processes"][0]["coverage"] == "full" or interpreter.version < (3,), first["processes"]
    assert max(true_leak.values()) == KEPT, true_leak
    report = run(path, "%s %d" % (field, shift))
    if report is None:
        return
    process = report["processes"][0]
    assert report["outstanding"]["objects"] > 0.9 * first["outstanding"]["objects"], report["outstanding"]
    known = places(first) | places(second)
    wrong = [place for place in places(report) if place not in known and place != UNKNOWN and not may_be(place)]
    assert not wrong, wrong
    types = {row["type"] for row in first["growers"] + second["growers"]} | {None}
    wrong = [(row["type"], row["objects"]) for row in report["growers"] if row["type"] not in types and row["objects"] >= CHANCE]
    assert not wrong, wrong
    for where, objects in leak(report, name).items():
        told = tuple(place for place in where if place != UNKNOWN[1:])
        # the whole of it, or from the innermost frame up to where it could not be followed, or nothing
        assert not told or any(told == true[:len(told)] for true in true_leak), (where, objects)
    assert interpreter.version < (3, 12) or not silently_cut(report, name, true_leak)
    if {place for place in places(report)} == {UNKNOWN} or all(row["type"] is None for row in report["growers"]):
        assert process["coverage"] == "partial" and "not told" in process["coverage_note"], process


def shifts(number):
    """All with PYLEAK_FULL, else another one each day."""
    every = (-8, 8, 0)
    if os.environ.get("PYLEAK_FULL", "") not in ("", "0"):
        return every
    return [every[(int(os.environ["PYLEAK_ROTATE"]) + number) % len(every)]]


@pytest.mark.sampled
@pytest.mark.parametrize("field", WALK)
def test_walks(interpreter, bpf, sound, field):
    for shift in shifts(WALK.index(field)):
        if field == "frame_back" and not shift:
            continue  # to 3.10 that swaps it with the position, and one of 0 may be right
        check(interpreter, sound, field, shift)


@pytest.mark.parametrize("field", NAMES)
def test_names(debian, bpf, sound, field):
    check(debian, sound, field, 8)
