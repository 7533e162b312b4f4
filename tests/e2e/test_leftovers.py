# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tracer leaves behind, whichever way it ends: a target that runs on, and nothing else."""
import ctypes
import os
import re
import signal

import pytest

from memory import becomes, code
from process import CORPUS, Child, Tracer

LEAK = os.path.join(CORPUS, "leaks", "bytes_kept.py")
# include/uapi/linux/bpf.h: BPF_*_GET_FD_BY_ID
GET_BY_ID = {"prog": 13, "map": 14, "link": 30}
SYS_BPF = 321
LIBC = ctypes.CDLL(None, use_errno=True)


def stat(pid):
    """(name, state, parent) of a process; None: there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            head, _, tail = file.read().rpartition(")")
    except OSError:
        return None
    return head.partition("(")[2], tail.split()[0], int(tail.split()[1])


def runs(pid):
    found = stat(pid)
    return found is not None and found[1] not in "ZX"


def helpers(parent):
    """Those that clean up when the tracer cannot: of redirected words, of probes."""
    found = {int(name): stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return [pid for pid, seen in found.items() if seen and seen[0] in ("pyleak-guard", "pyleak-keeper") and seen[2] == parent]


def kernel_objects(pid):
    """(kind, id) of every program, map and link that the process has open."""
    found = set()
    for number in os.listdir("/proc/%d/fdinfo" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, number), encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue  # closed meanwhile
        # a link tells the id of its program, too
        for kind in ("link", "map", "prog"):
            told = re.search(r"^%s_id:\s*(\d+)$" % kind, text, re.M)
            if told:
                found.add((kind, int(told.group(1))))
                break
    return found


def is_there(kind, number):
    attr = (ctypes.c_uint32 * 3)(number, 0, 0)
    fd = LIBC.syscall(SYS_BPF, GET_BY_ID[kind], ctypes.byref(attr), ctypes.sizeof(attr))
    if fd >= 0:
        os.close(fd)
    return fd >= 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["in order", "kill -9"])
def test_nothing_is_left(number, corner, start, tmp_path):
    """No probe in the target, no program, map or link in the kernel, no helper, no file."""
    target = start(corner[1], LEAK)
    folder = tmp_path / "empty"
    folder.mkdir()
    text = code(target.pid)
    tracer = Tracer("--json", "-i", 1, target=target, check=False, cwd=str(folder), env={"TMPDIR": str(folder)})
    tracer.attached()
    target.send("run 1000 100")
    tracer.snapshot()
    assert code(target.pid) != text
    objects = kernel_objects(tracer.pid)
    assert {kind for kind, _ in objects} == {"prog", "map", "link"} and all(is_there(*each) for each in objects)
    watching = helpers(tracer.pid)
    assert len(watching) == 2
    tracer.kill(number)
    assert tracer.wait() == (0 if number == signal.SIGINT else -signal.SIGKILL)
    assert becomes(lambda: code(target.pid), text) == text
    assert becomes(lambda: [each for each in objects if is_there(*each)], []) == []
    assert becomes(lambda: [pid for pid in watching if runs(pid)], []) == []
    assert os.listdir(folder) == []
    target.send("stop")
    target.answer()
    target.check_alive()


# so many that its end is noticed while they are freed
ENDS = ("import os, sys\n"
        "kept = [{} for _ in range(100000)]\n"
        "print('up', os.getpid(), flush=True)\n"
        "sys.stdin.readline()\n")


@pytest.mark.parametrize("below", [False, True], ids=["the command", "below a shell"])
def test_kill_9_while_a_program_is_stopped_for_its_last_look(below, bpf, debian, tmp_path):
    """`run` stops it when its interpreter is torn down. Nobody looks any more: it must come to its end all the same."""
    note = tmp_path / "status"
    command = [debian.path, "-c", ENDS]
    if below:  # only the command itself gets a signal from the kernel when we die
        command = ["sh", "-c", '"$@"; echo $? >%s' % note, "sh"] + command
    pid = None
    with Child([bpf, "run", "-v", "-o", str(tmp_path / "report"), "--"] + command) as tracer:
        try:
            pid = int(tracer.out.wait_for(lambda line: line.startswith("up")).split()[1])
            assert tracer.err.wait_for(lambda line: "tracing process %d " % pid in line)
            tracer.kill(signal.SIGSTOP)  # it must not see the end before it is killed
            tracer.send("")
            assert becomes(lambda: stat(pid)[1], "T") == "T"
            tracer.kill()
            assert tracer.wait() == -signal.SIGKILL
            assert becomes(lambda: runs(pid), False) is False
            if below:
                assert becomes(note.exists, True) and becomes(note.read_text, "0\n") == "0\n"
        finally:
            if pid and runs(pid):
                os.kill(pid, signal.SIGKILL)
