# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs in another root and other namespaces, as a container runs them."""
import glob
import os
import re
import subprocess
import time

from process import CORPUS, HERE, PATIENCE, Child, Target

IN_ROOT = os.path.join(HERE, "in_root.sh")


def children(pid):
    """Pids, as seen from here, of a process's children."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(text.split(" ", 1)[0]))
    return found


def descendant(pid, path, patience=5):
    """The process below PID whose executable has the name of PATH."""
    deadline = time.monotonic() + patience
    while True:
        below = [pid]
        for parent in below:
            below += children(parent)
        for candidate in below:
            try:
                name = os.path.basename(os.readlink("/proc/%d/exe" % candidate)).replace(" (deleted)", "")
            except OSError:
                continue
            if re.match(re.escape(os.path.basename(path)) + r"[0-9.]*$", name):
                return candidate
        assert time.monotonic() < deadline, "no %s below process %d" % (path, pid)


class WrappedTarget(Target):
    """A corpus program started by WRAPPER, a command that takes another one: its pid is found out, not told."""

    def __init__(self, wrapper, python, program, *args, env=None):
        self.program = program if os.path.isabs(program) else os.path.join(CORPUS, program)
        Child.__init__(self, list(wrapper) + [python, "-B", self.program] + list(args),
                       env=dict({"PYTHONHASHSEED": "0"}, **(env or {})))
        if self.out.wait_for(lambda text: text.startswith("ready ")) is None:
            self.close()
            raise AssertionError("%s did not get ready: %s" % (self.argv, self.err.text()))
        self.wrapper_pid = self.pid
        self.pid = descendant(self.process.pid, python)


def in_root(root):
    return [IN_ROOT, root]


def describe(root):
    """(version tuple) of the python3 in a root, by its name: nothing in it is run here."""
    names = [re.search(r"python(\d+)\.(\d+)$", path) for path in glob.glob(os.path.join(root, "usr/bin/python3.*"))]
    numbers = [(int(name.group(1)), int(name.group(2))) for name in names if name]
    return max(numbers) + (0,) if numbers else None


def run_in(root, *argv):
    return subprocess.run(in_root(root) + list(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
