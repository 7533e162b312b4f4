# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The census of a core file is that of the process, when it did nothing before."""
import functools
import glob
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import tempfile

import pytest

import schema
from conftest import unusable
from process import HERE, PATIENCE
from test_census import PROGRAM, asleep, by_type, check_made, quiet

SAME = ("objects", "tracked", "bytes", "owned_bytes", "largest_bytes", "uncollectable")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def run(tool, path, *args, **more):
    return subprocess.run([tool, "census", "--core", str(path), "--json"] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE, **more)


def census(tool, path):
    done = run(tool, path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    reading, = map(json.loads, done.stdout.splitlines())
    assert reading["core"] == str(path)
    return reading


def gcore(pid, folder):
    """Its path. The process runs on."""
    if not shutil.which("gcore"):
        unusable("gcore is missing: install gdb")
    done = subprocess.run(["gcore", "-o", str(folder / "by-gdb"), str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE * 2)
    path = folder / ("by-gdb.%d" % pid)
    assert done.returncode == 0 and path.exists(), done.stdout
    return path


def kernel_core(target, folder):
    """Its path. The process, whose directory FOLDER must be, ends."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if not pattern or pattern.startswith("|") or "/" in pattern:
        unusable("the kernel's cores go to %r" % pattern, may_miss=True)
    try:
        resource.prlimit(target.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        unusable("cores are not allowed here", may_miss=True)
    before = set(os.listdir(folder))
    target.kill(signal.SIGABRT)
    target.wait()
    name, = set(os.listdir(folder)) - before
    return folder / name


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1])


@functools.lru_cache(maxsize=None)
def kernel_shares_zeros():
    """Some kernels for guests (pvm_no_zero_page) give each page that is read one of its own: it is resident, though no core of gdb's has it."""
    count = 4096
    with mmap.mmap(-1, count * mmap.PAGESIZE) as pages:
        pages.madvise(mmap.MADV_NOHUGEPAGE)
        before = resident()
        assert not any(pages[at] for at in range(0, count * mmap.PAGESIZE, mmap.PAGESIZE))
        return resident() - before < count // 2


def rows(reading):
    return {row["type"]: {field: row[field] for field in SAME} for row in reading["types"]}


def differences(live, dead):
    live, dead = rows(live), rows(dead)
    return {name: (live.get(name), dead.get(name)) for name in set(live) | set(dead) if live.get(name) != dead.get(name)}


def check_memory(live, dead, zeros=True):
    """Pages of files that a core leaves out are not counted; nor, in one of gdb's, pages of ZEROS."""
    memory, other = dead["memory"], live["memory"]
    assert sum(memory[part] or 0 for part in memory if part != "rss_bytes") == memory["rss_bytes"]
    for part in ("python_live_bytes", "python_free_bytes", "libc_used_bytes", "libc_free_bytes", "other_anon_bytes", "stacks_bytes"):
        if other[part] is None:
            assert memory[part] is None
            continue
        assert memory[part] - other[part] <= 0.01 * other["rss_bytes"], (part, memory, other)
        if zeros or part.startswith("python"):
            assert other[part] - memory[part] <= 0.01 * other["rss_bytes"], (part, memory, other)
    assert 0 < memory["file_bytes"] <= other["file_bytes"]


def check(live, dead, zeros=True):
    assert not differences(live, dead)
    assert dead["pid"] == live["pid"] and dead["python"] == live["python"] and dead["comm"] == live["comm"]
    assert dead["consistency"]["grade"] == "exact" and dead["consistency"]["ran"] is False and not dead["consistency"]["torn_reads"]
    assert dead["coverage"] == "full", dead["coverage_note"]
    assert dead["arenas"] == live["arenas"]
    check_memory(live, dead, zeros)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The directory of what is started from now on."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def here(interpreter):
    if interpreter.root:
        pytest.skip("the files of its root are not at their paths here")


def test_gcore(interpreter, tool, start, folder):
    here(interpreter)
    target = start(interpreter, PROGRAM)
    before = quiet(tool, target)
    check(before, census(tool, gcore(target.pid, folder)), zeros=kernel_shares_zeros())
    made = target.command("make")
    assert target.command("garbage") == 14
    live = quiet(tool, target)
    dead = census(tool, gcore(target.pid, folder))
    check(live, dead, zeros=False)
    check_made(before, dead, made)
    assert by_type(dead, "uncollectable")["__main__.Cycle"] == 14
    target.command("ping")


def test_kernel_core(interpreter, tool, start, folder):
    here(interpreter)
    target = start(interpreter, PROGRAM)
    target.command("make")
    live = quiet(tool, target)
    check(live, census(tool, kernel_core(target, folder)))


@pytest.mark.parametrize("allocator", ["malloc", "pymalloc_debug", "malloc_debug"])
def test_other_allocators(debian, tool, start, folder, allocator):
    target = start(debian, PROGRAM, env={"PYTHONMALLOC": allocator})
    target.command("make")
    live = quiet(tool, target)
    check(live, census(tool, gcore(target.pid, folder)), zeros=False)


def test_arenas_of_threads(debian, tool, start, folder):
    target = start(debian, os.path.join(HERE, "programs", "arenas.py"))
    live = quiet(tool, target)
    assert by_type(live)["__main__.Held"] == 5000
    check(live, census(tool, gcore(target.pid, folder)), zeros=kernel_shares_zeros())
    live = quiet(tool, target)  # gdb has read all its pages: on some kernels they are resident since
    check(live, census(tool, kernel_core(target, folder)))


def test_threads(debian, tool, start, folder):
    """While they run: a picture of one moment, whichever that is."""
    target = start(debian, PROGRAM)
    made = target.command("make")
    target.command("churn")
    dead = census(tool, gcore(target.pid, folder))
    assert dead["consistency"]["grade"] in ("exact", "torn")
    if dead["consistency"]["grade"] == "exact":
        objects = by_type(dead)
        for name in made:
            if name.startswith("__main__."):
                assert objects[name] == made[name][0], name
    target.command("ping")
    target.command("ping")


def test_schema(debian, tool, start, folder):
    target = start(debian, PROGRAM)
    rules = json.loads(subprocess.run([tool, "census", "--json-schema"], stdout=subprocess.PIPE, check=True).stdout)
    assert not schema.errors(census(tool, gcore(target.pid, folder)), rules)


def test_table(debian, tool, start, folder):
    target = start(debian, PROGRAM)
    target.command("make")
    asleep(target)
    path = gcore(target.pid, folder)
    out = subprocess.run([tool, "census", "--core", str(path), "--filter", "main"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE).stdout.decode()
    line, = [line for line in out.splitlines() if line.endswith(" __main__.Slots")]
    assert line.split()[0] == "4000"
    assert "core of pid %d " % target.pid in out and "exact, a core is a still picture" in out


def test_without_root(debian, tool, start, folder):
    if os.geteuid():
        pytest.skip("is not root")
    target = start(debian, PROGRAM)
    path = gcore(target.pid, folder)
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        for source, name in ((tool, "tool"), (path, "core")):
            shutil.copy(source, os.path.join(open_to_all, name))
        os.chmod(os.path.join(open_to_all, "core"), 0o644)
        done = run(os.path.join(open_to_all, "tool"), os.path.join(open_to_all, "core"), user=65534, group=65534, extra_groups=[])
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert json.loads(done.stdout)["coverage"] == "full"


def refused(done, status, *words):
    assert done.returncode == status and not done.stdout, (done.returncode, done.stderr)
    text = done.stderr.decode()
    assert text.startswith("pyleak-bpf: core ") and text.count("\n") == 1, text
    for word in words:
        assert word in text, text


def test_another_interpreter(debian, tool, start, folder):
    """Names and constants are in its file: what is there now may be something else."""
    python = folder / "python-of-mine"
    shutil.copy(os.path.realpath(debian.path), python)
    target = start(str(python), PROGRAM)
    live = quiet(tool, target)
    path = gcore(target.pid, folder)
    python.rename(folder / "python-elsewhere")
    refused(run(tool, path), 3, str(python) + " is not here")
    shutil.copy("/bin/sleep", python)
    refused(run(tool, path), 3, str(python) + " is another file here than the process had")
    python.write_text("#!/bin/sh\n")
    refused(run(tool, path), 3, str(python) + " is another file here than the process had")
    python.unlink()
    os.mkfifo(python)
    refused(run(tool, path), 3, str(python) + " is another file here than the process had")
    python.unlink()
    (folder / "python-elsewhere").rename(python)
    check(live, census(tool, path))


def test_what_is_no_python(tool, folder):
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        try:
            path = gcore(other.pid, folder)
        finally:
            other.kill()
    refused(run(tool, path), 3, "no CPython")


def test_what_is_no_core(tool, folder):
    path = folder / "file"
    refused(run(tool, path), 4, "No such file")
    refused(run(tool, folder), 3, "no regular file")
    path.touch()
    refused(run(tool, path), 3, "is empty")
    path.write_bytes(b"\x7fELF")
    refused(run(tool, path), 3, "cut off")
    path.write_text("no core\n" * 100)
    refused(run(tool, path), 3, "not in ELF format")
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    refused(run(tool, path), 3, "decompress")
    refused(run(tool, "/bin/sleep"), 3, "a program or library")
    path.write_bytes(b"\x7fELF\1\1\1" + bytes(100))
    refused(run(tool, path), 3, "32-bit")
    path.unlink()
    os.mkfifo(path)
    refused(run(tool, path), 3, "no regular file")


@pytest.fixture
def core(debian, start, folder):
    """One that may be spoilt: the kernel's, as that has its headers first; or gdb's."""
    target = start(debian, PROGRAM)
    target.command("make")
    asleep(target)
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        other = file.read(1) == "|"
    return gcore(target.pid, folder) if other else kernel_core(target, folder)


def survives(tool, path):
    """It says something sensible of it; what."""
    done = run(tool, path)
    assert done.returncode in (0, 3, 4), (done.returncode, done.stderr[-2000:])
    if done.returncode:
        refused(done, done.returncode)
        return None
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def test_cut_off(tool, core):
    size = core.stat().st_size
    with open(core, "rb") as file:
        header = file.read(64)
    first = struct.unpack_from("<Q", header, 32)[0]
    count = struct.unpack_from("<H", header, 56)[0]
    places = [1, 16, 63, 64, first, first + 30, first + 56 * count, first + 56 * count + 10, first + 56 * count + 3000]
    places += [size * i // 23 for i in range(23)] + [size - (1 << i) for i in range(0, 22, 2)]
    read = 0
    for place in sorted(set(places), reverse=True):
        os.truncate(core, place)
        reading = survives(tool, core)
        if reading:
            read += 1
            # the kernel's last page is its own
            if reading["coverage"] == "full":
                assert place >= size - 4096
            else:
                assert "cut off" in reading["coverage_note"], place
    os.truncate(core, 0)
    refused(run(tool, core), 3, "is empty")
    assert read > 1


def test_spoilt(tool, core):
    """Any bytes, and those that matter most."""
    numbers = random.Random(4)
    size = core.stat().st_size
    with open(core, "r+b") as file:
        head = file.read(1 << 16)
        for number in range(120):
            places = [numbers.randrange(64 if number % 3 else size) if number % 4 == 0 else numbers.randrange(len(head)) if number % 2 else
                      numbers.randrange(size) for _ in range(1 << numbers.randrange(10))]
            before = {}
            for place in places:
                file.seek(place)
                before.setdefault(place, file.read(1))
                file.seek(place)
                file.write(bytes([numbers.choice((0, 1, 0x7f, 0x80, 0xff, numbers.randrange(256)))]))
            file.flush()
            survives(tool, core)
            for place, byte in before.items():
                file.seek(place)
                file.write(byte)
            file.flush()
    assert survives(tool, core)["coverage"] == "full"


def headers(path, change):
    """CHANGE(number, [type, flags, offset, address, physical, in file, in memory, align]) of each program header."""
    with open(path, "r+b") as file:
        header = file.read(64)
        first = struct.unpack_from("<Q", header, 32)[0]
        for number in range(struct.unpack_from("<H", header, 56)[0]):
            file.seek(first + number * PROGRAM_HEADER.size)
            fields = list(PROGRAM_HEADER.unpack(file.read(PROGRAM_HEADER.size)))
            change(number, fields)
            file.seek(first + number * PROGRAM_HEADER.size)
            file.write(PROGRAM_HEADER.pack(*(field & (1 << 64) - 1 if i > 1 else field for i, field in enumerate(fields))))


@pytest.mark.parametrize("place,value", [(2, 0), (2, 1 << 62), (2, -4096), (3, 0), (3, 1 << 47), (3, -4096), (5, 0), (5, -1), (5, 1 << 62), (6, 0), (6, -1),
                                         (6, 1 << 62)])
def test_absurd_headers(tool, core, place, value):
    def change(number, fields):
        if number % 7 == 3:
            fields[place] = value
    headers(core, change)
    survives(tool, core)
    headers(core, lambda _, fields: fields.__setitem__(place, value))
    survives(tool, core)


def test_a_hole_for_a_heap(tool, core):
    """A file of 4 EiB costs what is in it."""
    size = core.stat().st_size
    try:
        os.truncate(core, 1 << 43)
    except OSError:
        pytest.skip("no such large files here")

    def change(number, fields):
        if fields[0] == 1 and not fields[5]:
            fields[1], fields[2], fields[5], fields[6] = 6, size + (number << 32), 1 << 32, 1 << 32
    headers(core, change)
    survives(tool, core)


def test_filtered(debian, tool, start, folder):
    """coredump_filter: what a core may hold."""
    for value, works in ((0x21, True), (0x33, True), (0x10, False)):
        target = start(debian, PROGRAM)
        target.command("make")
        live = quiet(tool, target)
        with open("/proc/%d/coredump_filter" % target.pid, "w", encoding="ascii") as file:
            file.write("0x%x" % value)
        path = kernel_core(target, folder)
        if works:
            check(live, census(tool, path))
        else:
            refused(run(tool, path), 3, "coredump_filter")
        path.unlink()


@pytest.mark.parametrize("args", [["census", "--core", "x", "--every", "1"], ["census", "--core", "x", "-p", "1"], ["census", "--core", "x", "-a"],
                                  ["census", "--core", "x", "-d", "5"], ["--core", "x"], ["-p", "1", "--core", "x"], ["census", "--core"]], ids=" ".join)
def test_bad_options(tool, args):
    done = subprocess.run([tool] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr.startswith(b"pyleak-bpf: "), done.stderr
