# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Only with PYLEAK_ROOTS (check-interpreters.sh): what a root's Python needs beside the corpus."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

import interpreters
import roots
from process import CORPUS, PATIENCE, Target


def test_others_are_refused_by_name(bpf, start):
    """Interpreters that this version does not know."""
    for found in interpreters.in_roots(supported=False):
        assert not found.missing, found.missing
        target = start(found, os.path.join(CORPUS, "leaks", "bytes_kept.py"))
        done = subprocess.run([bpf, "-p", str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        text = done.stderr.decode()
        assert (done.returncode, done.stdout) == (3, b""), text
        assert "%d.%d" % found.version[:2] in text and "not supported" in text, text
        target.check_alive()


def test_roots_stay_as_they_are(tool):
    for found in interpreters.in_roots() + interpreters.in_roots(supported=False):
        done = roots.run_in(found.root, "/bin/sh", "-c", "echo x > /usr/bin/python3 && echo $$ && ls /proc | grep -c '^[0-9]'")
        assert done.returncode == 0, done.stderr
        # of its own pid namespace it sees itself, ls and grep
        assert done.stdout.split() == [b"1", b"3"], done.stdout
        assert os.path.getsize(os.path.join(found.root, "usr/bin/python3")) > 2


def test_run_in_a_root(bpf):
    """From its first allocation on, before the interpreter has a state to be read."""
    for found in interpreters.in_roots():
        done = subprocess.run([bpf, "run", "--json", "--"] + roots.in_root(found.root) +
                              [found.path, "-c", "kept = [bytes(333) for _ in range(500)]"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        final = json.loads(done.stdout.splitlines()[-1])
        rows = [row for row in final["growers"] if row["type"] == "bytes" and row["stack"] and row["stack"][0]["file"] == "<string>"]
        assert [row["objects"] for row in rows] == [500], final["growers"][:3]
        assert final["processes"][0]["coverage"] == "full", final["processes"]


@pytest.fixture
def free_threaded(tmp_path):
    """A free-threaded build as it comes, and one without the symbols that only a debugger needs."""
    path = os.environ.get("PYLEAK_FREE_THREADED")
    if not path:
        pytest.skip("no free-threaded Python was built")
    stripped = os.path.join(os.path.dirname(path), "python-stripped")
    if not os.path.exists(stripped):
        part = str(tmp_path / "stripped")
        shutil.copy(path, part)
        subprocess.run(["strip", "-s", part], check=True)
        shutil.copy(part, stripped)
    return [path, stripped]


def memory_of(pid):
    """What tracing would change: the interpreter's code and its tables."""
    found = {}
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for line in maps:
            match = re.match(r"(\w+)-(\w+) r.x. .*python", line)
            if match:
                start, end = (int(part, 16) for part in match.groups())
                memory.seek(start)
                found[line] = hashlib.sha256(memory.read(end - start)).hexdigest()
    return found


def test_free_threaded_builds_are_refused_by_name(bpf, free_threaded):
    for path in free_threaded:
        asked = subprocess.run([path, "-c", "import sys; print(sys._is_gil_enabled())"], stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
        assert asked.stdout.strip() == b"False", asked
        target = Target(path, os.path.join(CORPUS, "leaks", "bytes_kept.py"))
        try:
            before = memory_of(target.pid)
            for argv in (["-p", str(target.pid)], ["doctor", "-p", str(target.pid)]):
                done = subprocess.run([bpf] + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=PATIENCE)
                text = done.stdout.decode()
                assert done.returncode == 3, text
                assert re.search(r"Python 3\.13\.\d+ in process %d is a free-threaded build" % target.pid, text), text
            assert before and memory_of(target.pid) == before
            target.check_alive()
        finally:
            target.close()
        done = subprocess.run([bpf, "run", "--", path, "-c", "print('done')"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        assert (done.returncode, done.stdout) == (3, b"done\n"), done
        assert b"free-threaded build" in done.stderr, done.stderr
