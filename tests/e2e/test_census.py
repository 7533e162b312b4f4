# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The heap by type, against what the program itself knows of it."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import schema
from process import HERE, PATIENCE, Child

PROGRAM = os.path.join(HERE, "programs", "counted.py")
MASS = os.path.join(HERE, "programs", "mass.py")
ERRORS = ("objects_error", "bytes_error", "owned_bytes_error")


def census(tool, target, *args):
    """The readings of one run, and that it was fine."""
    done = subprocess.run([tool, "census", "-p", str(target.pid), "--json"] + [str(arg) for arg in args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    readings = [json.loads(line) for line in done.stdout.decode().splitlines()]
    for reading in readings:
        assert reading["schema"] == "pyleak-bpf/census/1" and reading["pid"] == target.pid
    return readings


def asleep(target):
    """It waits for the next command."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with open("/proc/%d/syscall" % target.pid, encoding="ascii") as file:
            words = file.read().split()
        if words[0] == "0" and words[1] == "0x0":
            return
        time.sleep(0.005)
    raise AssertionError("the target does not wait")


def quiet(tool, target, *args):
    """One reading of a process that does nothing: a still picture."""
    asleep(target)
    reading, = census(tool, target, *args)
    assert reading["consistency"]["grade"] == "exact", reading["consistency"]
    assert reading["consistency"]["torn_reads"] == 0
    assert reading["coverage"] == "full", reading["coverage_note"]
    return reading


def by_type(reading, field="objects"):
    found = {row["type"]: row[field] for row in reading["types"]}
    assert len(found) == len(reading["types"])
    return found


def check_tracked(interpreter, reading, answer):
    truth, frozen = answer
    tracked = {name: number for name, number in by_type(reading, "tracked").items() if number}
    if interpreter.version < (3, 7):
        # those of the functions that count are tracked there
        truth.pop("frame", None)
        tracked.pop("frame", None)
    if interpreter.version >= (3, 14):
        # the one in which they are counted
        truth["dict"] -= 1
    if interpreter.version < (3,):
        # the arguments of the call that waits
        tracked["tuple"] -= 1
    wrong = {name: (tracked.get(name), truth.get(name)) for name in set(tracked) | set(truth) if tracked.get(name) != truth.get(name)}
    if frozen:
        assert set(wrong) <= {"tuple"} and tracked["tuple"] - truth["tuple"] == frozen, (wrong, frozen)
    else:
        assert not wrong, wrong


def check_made(before, after, made):
    before, objects, owned = by_type(before), by_type(after), by_type(after, "owned_bytes")
    for name, (number, least, most) in made.items():
        gained = objects.get(name, 0) - before.get(name, 0)
        if name.startswith("__main__."):
            assert gained == number, (name, gained, number)
        else:
            # caches and names that came with the command
            assert abs(gained - number) <= max(0.005 * number, 8), (name, gained, number)
        if least is not None:
            assert least <= owned[name] <= most, (name, owned[name], least, most)


def check_memory(reading):
    memory = reading["memory"]
    assert sum(memory[part] for part in memory if part != "rss_bytes") == memory["rss_bytes"]
    assert all(memory[part] > 0 for part in ("python_live_bytes", "libc_used_bytes", "stacks_bytes", "file_bytes"))
    # this program has no other memory to speak of
    assert memory["other_anon_bytes"] <= 0.05 * memory["rss_bytes"] + (1 << 20), memory


def test_truth(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    target.command("ping")
    before = quiet(tool, target)
    made = target.command("make")
    after = quiet(tool, target)
    check_made(before, after, made)
    truth = target.command("truth")
    reading = quiet(tool, target)
    check_tracked(interpreter, reading, truth)
    check_memory(reading)
    assert reading["python"].startswith("%d.%d." % interpreter.version[:2])
    target.command("ping")
    assert not target.err.seen


@pytest.mark.parametrize("allocator", ["malloc", "malloc_debug", "pymalloc_debug"])
def test_other_allocators(interpreter, tool, start, allocator):
    if interpreter.version < (3, 6):
        pytest.skip("2.7 has no PYTHONMALLOC")
    target = start(interpreter, PROGRAM, env={"PYTHONMALLOC": allocator})
    before = quiet(tool, target)
    made = target.command("make")
    check_made(before, quiet(tool, target), made)
    truth = target.command("truth")
    check_tracked(interpreter, quiet(tool, target), truth)


@pytest.fixture(scope="session")
def bump(tmp_path_factory):
    """Another malloc than glibc's."""
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("gcc is missing")
    library = str(tmp_path_factory.mktemp("bump") / "bump.so")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", library, os.path.join(HERE, "programs", "bump.c")], check=True)
    return library


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc"])
def test_another_malloc(interpreter, tool, start, bump, allocator):
    """What the collector tracks is found by its lists; that the rest is not all seen is said."""
    if interpreter.root:
        pytest.skip("the library is not in its root")
    more = {"LD_PRELOAD": bump}
    if allocator != "pymalloc":
        if interpreter.version < (3, 6):
            pytest.skip("2.7 has no PYTHONMALLOC")
        more["PYTHONMALLOC"] = allocator
    target = start(interpreter, PROGRAM, env=more)
    made = target.command("make")
    answer = target.command("truth")
    asleep(target)
    reading, = census(tool, target)
    assert reading["coverage"] == "partial" and "glibc" in reading["coverage_note"]
    check_tracked(interpreter, reading, answer)
    objects = by_type(reading)
    for name in ("Slots", "Attributes", "Inner", "Big", "Items", "Mapping"):
        name = [full for full in made if full.endswith("." + name)]
        if not name:
            continue # 2.7 has no qualified names
        # a class without attributes that hold others may be one that no collector knows
        if objects.get(name[0]) or allocator == "pymalloc":
            assert objects[name[0]] == made[name[0]][0], name


def test_mimalloc(interpreter, tool, start):
    """It is in the interpreter itself, beside glibc's."""
    if interpreter.version < (3, 13):
        pytest.skip("has no mimalloc")
    target = start(interpreter, PROGRAM, env={"PYTHONMALLOC": "mimalloc"})
    target.command("make")
    answer = target.command("truth")
    asleep(target)
    reading, = census(tool, target)
    assert reading["coverage"] == "partial" and "neither pymalloc nor glibc's" in reading["coverage_note"]
    check_tracked(interpreter, reading, answer)


def test_churn(interpreter, tool, start):
    """What is there all the time is counted, whatever else goes on; of what comes and goes there is no more than there can be."""
    target = start(interpreter, PROGRAM)
    made = target.command("make")
    still = by_type(quiet(tool, target))
    target.command("churn")
    for _ in range(4):
        reading, = census(tool, target)
        assert reading["consistency"]["ran"] and reading["consistency"]["grade"] in ("near", "torn")
        if reading["consistency"]["grade"] == "torn":
            continue
        objects = by_type(reading)
        for name in made:
            if name.startswith("__main__."):
                assert abs(objects[name] - still[name]) <= 0.01 * still[name], (name, objects[name], still[name])
            else:
                # up to two in each place of the ring, and what was read twice as it moved from a small size to a large one
                assert -0.01 * still[name] <= objects[name] - still[name] <= 0.01 * still[name] + 2500, (name, objects[name], still[name])
        assert abs(objects["__main__.Churned"] - 1000) <= 30, objects["__main__.Churned"]
    target.command("ping")
    target.command("ping")


def test_growth(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    target.command("leak")
    readings = census(tool, target, "--every", "0.5", "-d", "6")
    target.send("ping")
    target.answer()
    assert len(readings) >= 10
    first, last = readings[0], readings[-1]
    assert first["interval_s"] is None and 0.4 < last["interval_s"] < 2
    assert all(row["delta_objects"] is None for row in first["types"])
    leaked = {row["type"]: row for row in last["types"]}["__main__.Leaked"]
    assert leaked["verdict"] == "growing", leaked
    assert leaked["delta_objects"] > 0 and leaked["delta_bytes"] > 0 and leaked["bytes_per_s"] > 0
    rate = leaked["bytes"] / leaked["objects"] * (leaked["objects"] - by_type(first).get("__main__.Leaked", 0)) / last["elapsed_s"]
    assert 0.5 * rate < leaked["bytes_per_s"] < 1.5 * rate
    # instances, and the list that holds them: nothing else grows
    assert {row["type"] for row in last["types"] if row["verdict"] == "growing"} <= {"__main__.Leaked", "list"}
    assert last["types"][0]["type"] in ("__main__.Leaked", "list")


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc"])
def test_sample(interpreter, tool, start, allocator):
    """Estimates with errors from a part of the heap; of the same part again in the next reading."""
    if interpreter.version < (3, 6) and allocator == "malloc":
        pytest.skip("2.7 has no PYTHONMALLOC")
    target = start(interpreter, MASS, env={"PYTHONMALLOC": allocator})
    target.command("mixed 250000")
    target.command("ping")
    whole, = census(tool, target)
    assert whole["sample"] is None and all(row[error] == 0 for row in whole["types"] for error in ERRORS)
    with Child([tool, "census", "-p", str(target.pid), "--json", "--sample", "10%", "--every", "0.2"], stdin=subprocess.DEVNULL) as child:
        readings = [json.loads(child.out.next(time.monotonic() + PATIENCE)) for _ in range(2)]
    for reading in readings:
        sample = reading["sample"]
        assert sample["fraction"] == 0.1 and 0.05 * sample["of"] < sample["read"] < 0.8 * sample["of"], sample
        # a large object is not of the sample
        assert 0.5 < sum(row["owned_bytes"] for row in reading["types"]) / sum(row["owned_bytes"] for row in whole["types"]) < 1.5
        assert reading["memory"]["python_live_bytes"] == whole["memory"]["python_live_bytes"]
        assert sum(number for part, number in reading["memory"].items() if part != "rss_bytes" and number) == reading["memory"]["rss_bytes"]
        assert reading["arenas"] is None
    assert all(row["delta_objects"] == 0 for row in readings[1]["types"]), "not the same part"
    others = [census(tool, target, "--sample", "0.1")[0] for _ in range(SAMPLES)]
    assert len({tuple(sorted(by_type(reading).items())) for reading in others}) == SAMPLES, "the same part again"
    widths = list(off_by(interpreter, whole, readings[:1] + others))
    # Where nearly all that was chosen is alike, its spread says too little now and then: what is promised is promised of many.
    assert sum(abs(width) > 1 for width in widths) <= 0.2 * len(widths), sorted(widths)
    assert abs(sum(widths) / len(widths)) < 0.5, sorted(widths)


SAMPLES = 12


def off_by(interpreter, whole, readings):
    """How many half-widths of its interval each estimate is off by."""
    for reading in readings:
        rows = {row["type"]: row for row in reading["types"]}
        for truth in whole["types"]:
            if truth["objects"] < 10000:
                continue
            row = rows[truth["type"]]
            for field in ("objects", "bytes"):
                if interpreter.version < (3,) and truth["type"] in ("int", "float"): # of malloc's large chunks there
                    assert row[field] == truth[field]
                    continue
                assert 0 < row[field + "_error"] < 0.5 * truth[field], (truth, row)
                yield (row[field] - truth[field]) / row[field + "_error"]


def test_sample_table(debian, tool, start):
    target = start(debian, MASS)
    target.command("mixed 250000")
    out = subprocess.run([tool, "census", "-p", str(target.pid), "--sample", "0.1"], stdout=subprocess.PIPE, check=True,
                         timeout=PATIENCE).stdout.decode()
    assert re.search(r"; a sample, \d+ of \d+ pools$", out, re.M), out
    assert re.search(r"^ *\d+ +±\d+ .* ±[0-9.]+ [KM]iB .* __main__[.]Point$", out, re.M), out


def test_fragmentation(interpreter, tool, start):
    """Why memory is not given back: what little lives in arenas that are nearly empty."""
    target = start(interpreter, PROGRAM)
    before = quiet(tool, target)
    kept = target.command("fragment")
    after = quiet(tool, target)
    arenas = after["arenas"]
    assert arenas["sparse"] * arenas["bytes_each"] > 10 << 20, arenas
    assert arenas["sparse"] <= arenas["count"] <= arenas["sparse"] + before["arenas"]["count"]
    assert arenas["kept_by"][0]["type"] == "__main__.Keeper" and 0.9 * kept <= arenas["kept_by"][0]["objects"] <= kept, arenas
    gained = {part: after["memory"][part] - before["memory"][part] for part in after["memory"]}
    assert gained["python_free_bytes"] > 0.8 * gained["rss_bytes"] > 10 << 20, gained
    assert gained["python_live_bytes"] < 1 << 20
    check_memory(after)


def test_uncollectable(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    assert target.command("garbage") == 14
    assert by_type(quiet(tool, target), "uncollectable")["__main__.Cycle"] == 14


RESERVED = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
assert libc.mmap(None, 4 << 40, 3, 0x4022, -1, 0) not in (None, 2 ** 64 - 1)  # private, anonymous, MAP_NORESERVE
print("ready", flush=True)
input()
"""


def page_tables_kib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmPTE:")).split()[1])


def test_terabytes_that_are_only_reserved(debian, tool):
    """Sanitizers and other runtimes have such: to look for heaps in them must not give the process page tables."""
    with subprocess.Popen([debian.path, "-c", RESERVED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.readline() == b"ready\n"
            before = page_tables_kib(target.pid)
            reading, = census(tool, target)
            assert by_type(reading)["dict"] > 100
            assert page_tables_kib(target.pid) - before < 1024
        finally:
            target.kill()


def test_schema(debian, tool, start):
    target = start(debian, PROGRAM)
    rules = json.loads(subprocess.run([tool, "census", "--json-schema"], stdout=subprocess.PIPE, check=True).stdout)
    for args in ([], ["--sample", "50%"], ["--freeze", "--max-pause", "1s"]):
        for reading in census(tool, target, "--every", "0.3", "-d", "1", *args):
            assert not schema.errors(reading, rules)


def test_choice(debian, tool, start):
    target = start(debian, PROGRAM)
    target.command("make")
    everything = quiet(tool, target)
    assert everything["hidden"]["types"] == 0
    own = quiet(tool, target, "--filter", "^__main__[.](Slots|Big)$")
    assert set(by_type(own)) == {"__main__.Slots", "__main__.Big"}
    assert own["hidden"]["types"] == len(everything["types"]) - 2
    many = quiet(tool, target, "--floor", "1000")
    assert set(by_type(many)) == {name for name, number in by_type(everything).items() if number >= 1000}
    three = quiet(tool, target, "-n", "3")
    assert len(three["types"]) == 3
    sizes = [row["owned_bytes"] for row in everything["types"]]
    assert sizes == sorted(sizes, reverse=True)
    for reading in (own, many, three):
        assert sum(row["objects"] for row in reading["types"]) + reading["hidden"]["objects"] == \
            sum(row["objects"] for row in everything["types"])


def test_table(debian, tool, start):
    target = start(debian, PROGRAM)
    target.command("make")
    out = subprocess.run([tool, "census", "-p", str(target.pid), "--filter", "main"], stdout=subprocess.PIPE, check=True,
                         timeout=PATIENCE).stdout.decode()
    line, = [line for line in out.splitlines() if line.endswith(" __main__.Slots")]
    assert line.split()[0] == "4000"
    assert "exact, the process did not run meanwhile" in out and "RSS " in out


def test_two_processes(debian, tool, start):
    targets = [start(debian, PROGRAM), start(debian, PROGRAM)]
    done = subprocess.run([tool, "census", "--json", "-p", ",".join(str(target.pid) for target in targets)], stdout=subprocess.PIPE, check=True,
                          timeout=PATIENCE)
    assert [json.loads(line)["pid"] for line in done.stdout.splitlines()] == [target.pid for target in targets]


def test_the_target_ends(debian, tool, start):
    target = start(debian, PROGRAM)
    child = Child([tool, "census", "-p", str(target.pid), "--json", "--every", "0.2"], stdin=subprocess.DEVNULL)
    assert child.out.wait_for(lambda line: '"interval_s":0' in line)
    target.kill(signal.SIGKILL)
    assert child.wait() == 0
    gone = subprocess.run([tool, "census", "-p", str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert gone.returncode == 4 and b"pyleak-bpf: " in gone.stderr and not gone.stdout


def test_a_signal_ends_it(debian, tool, start):
    target = start(debian, PROGRAM)
    child = Child([tool, "census", "-p", str(target.pid), "--json", "--every", "60"], stdin=subprocess.DEVNULL)
    assert child.out.wait_for(lambda line: line.startswith("{"))
    child.kill(signal.SIGINT)
    assert child.wait() == 0


def test_what_is_no_python(tool):
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        try:
            done = subprocess.run([tool, "census", "-p", str(other.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        finally:
            other.kill()
    assert done.returncode == 3 and not done.stdout


@pytest.mark.parametrize("args", [[], ["-a"], ["-p", "1", "--filter", "("], ["-p", "1", "--floor", "x"], ["-p", "1", "--every", "0"],
                                  ["-p", "1", "-d", "5"], ["-p", "1", "--sample", "0"], ["-p", "1", "--sample", "1"], ["-p", "1", "--sample", "10 %"],
                                   ["-p", "1", "surplus"]], ids=" ".join)
def test_bad_options(tool, args):
    done = subprocess.run([tool, "census"] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr.startswith(b"pyleak-bpf: ")


def test_options_of_census_alone(tool):
    done = subprocess.run([tool, "-p", "1", "--every", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2
