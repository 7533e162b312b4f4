# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bad input and bad luck: a clear sentence, the documented exit code, an unharmed target."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unicodedata

import pytest

import schema
from memory import becomes, code
from process import CORPUS, HERE, PATIENCE, Child, Tracer, lossless

LEAK = os.path.join(CORPUS, "leaks", "bytes_kept.py")


def run(tool, *args, timeout=PATIENCE, **more):
    """(exit status, stdout, stderr), as text."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options.update(more)
    done = subprocess.run([tool] + [str(arg) for arg in args], timeout=timeout, **options)
    return done.returncode, (done.stdout or b"").decode("utf-8", "strict"), (done.stderr or b"").decode("utf-8", "strict")


def a_sentence(text):
    """Something a person can act on: not empty, not a dump, no bare errno number."""
    assert text.startswith("pyleak-bpf:"), text
    first = text.splitlines()[0]
    assert len(first.split()) >= 4, text
    assert not re.search(r"libbpf|errno|assert|Segmentation|\berror -?\d+\b", text), text
    assert len(text.splitlines()) <= 12, text


def no_such_pid():
    """A pid that was there and is gone."""
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    return child.pid


# -- options ---------------------------------------------------------------------------------------------------

BAD_OPTIONS = [
    [],
    ["-p"],
    ["-p", ""],
    ["-p", "abc"],
    ["-p", "12x"],
    ["-p", "0"],
    ["-p", "-1"],
    ["-p", "99999999999999999999"],
    ["--nonsense"],
    ["nonsense"],
    ["-p", "1", "surplus"],
    ["-p", "1", "-i", "0"],
    ["-p", "1", "-i", "-1"],
    ["-p", "1", "-i", "abc"],
    ["-p", "1", "-i", ""],
    ["-p", "1", "-i", "nan"],
    ["-p", "1", "-i", "inf"],
    ["-p", "1", "-i", "1e400"],
    ["-p", "1", "-i", "5 parsecs"],
    ["-p", "1", "-d", "-3"],
    ["-p", "1", "-d", "x"],
    ["-p", "1", "-n", "-5"],
    ["-p", "1", "-n", "ten"],
    ["-p", "1", "-n", "99999999999999999999"],
    ["-p", "1", "--depth", "0"],
    ["-p", "1", "--depth", "-1"],
    ["-p", "1", "--depth", "1000000000"],
    ["-p", "1", "--mode", "nonsense"],
    ["-p", "1", "--mode"],
    ["-p", "1", "--mode", ""],
    ["-p", "1", "--mode", "Budget"],
    ["-p", "1", "--budget"],
    ["-p", "1", "--budget", ""],
    ["-p", "1", "--budget", "-1"],
    ["-p", "1", "--budget", "0"],
    ["-p", "1", "--budget", "0.001"],
    ["-p", "1", "--budget", "51"],
    ["-p", "1", "--budget", "nan"],
    ["-p", "1", "--budget", "inf"],
    ["-p", "1", "--budget", "1e400"],
    ["-p", "1", "--budget", "1x"],
    ["-p", "1", "--budget", "1 %%"],
    ["-p", "1", "--budget", "%"],
    ["-p", "1", "--mode", "exact", "--budget", "1"],
    ["run", "--mode", "exact", "--budget", "1", "--", "/bin/true"],
    ["-p", "1", "--max-pause"],
    ["-p", "1", "--max-pause", "0"],
    ["-p", "1", "--max-pause", "-1"],
    ["-p", "1", "--max-pause", "500us"],
    ["-p", "1", "--max-pause", "0.5ms"],
    ["-p", "1", "--max-pause", "11s"],
    ["-p", "1", "--max-pause", "nan"],
    ["-p", "1", "--group-by", "nonsense"],
    ["-p", "1", "--min-age", "-1"],
    ["run"],
    ["run", "--"],
    ["run", "-i", "0", "--", "/bin/true"],
]


@pytest.mark.parametrize("args", BAD_OPTIONS, ids=lambda args: " ".join(args) or "nothing")
def test_bad_options(tool, args):
    status, out, err = run(tool, *args)
    assert status == 2, (status, out, err)
    assert out == ""
    assert err.strip()


def test_help_and_version(tool):
    status, out, err = run(tool, "--help")
    assert status == 0 and err == ""
    for option in ("--interval", "--duration", "--top", "--mode", "--budget", "--max-pause", "--depth",
                   "--group-by", "--read-only", "--json"):
        assert option in out, option
    assert max(len(line) for line in out.splitlines()) <= 80
    text = " ".join(out.split())
    # which mode is whose default, and what bounds it
    assert "(default for -p and -a); exact:" in text and "(default for run)" in text
    assert "on average (default 1)" in text and "(default 10ms)" in text
    status, out, err = run(tool, "--version")
    assert status == 0 and err == "" and re.search(r"\bpyleak-bpf\b.*\d+\.\d+", out)


def test_schema_is_a_schema(tool):
    status, out, _ = run(tool, "--json-schema")
    assert status == 0
    rules = json.loads(out)
    assert rules["type"] == "object" and "growers" in rules["required"]
    assert schema.errors({"schema": "something else"}, rules)


# -- targets that are none ---------------------------------------------------------------------------------------

def test_no_such_process(bpf):
    status, out, err = run(bpf, "-p", no_such_pid())
    assert (status, out) == (4, "")
    a_sentence(err)


def test_not_python(bpf):
    with Child(["/bin/sleep", "100"]) as child:
        status, out, err = run(bpf, "-p", child.pid)
        assert (status, out) == (3, "")
        a_sentence(err)
        assert str(child.pid) in err and child.alive()


def test_kernel_thread(bpf):
    if not os.path.exists("/proc/2/comm") or os.path.exists("/proc/2/exe") and os.readlink("/proc/2/exe"):
        pytest.skip("pid 2 is no kernel thread here")
    status, out, err = run(bpf, "-p", 2)
    assert status in (3, 4) and out == ""
    a_sentence(err)


def test_zombie(bpf):
    child = subprocess.Popen(["/bin/true"])
    # it has ended and nobody has waited for it
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    status, out, err = run(bpf, "-p", child.pid)
    child.wait()
    assert status in (3, 4) and out == ""
    a_sentence(err)


def test_without_privilege(bpf, debian, start, tmp_path_factory):
    """Somebody else's process, and no capability."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    target = start(debian, LEAK)
    # where nobody may go
    folder = tmp_path_factory.mktemp("bin")
    for part in (folder, folder.parent, folder.parent.parent):
        part.chmod(0o755)
    copy = shutil.copy(bpf, folder)
    as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", copy]
    status, out, err = run("setpriv", *as_nobody, "-p", target.pid)
    assert status in (3, 4) and out == "", (status, err)
    a_sentence(err)
    assert re.search(r"root|sudo|privilege|permission|CAP_", err), err
    status, out, _ = run("setpriv", *as_nobody, "doctor")
    assert status in (0, 3) and re.search(r"root|sudo|privilege|permission|CAP_", out)
    target.check_alive()


# -- the life of a trace -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("form", ["json", "table"])
def test_signals_end_with_a_report(bpf, debian, start, number, form):
    target = start(debian, LEAK)
    tracer = Tracer(*(["--json"] if form == "json" else []), "-i", 60, target=target)
    tracer.attached()
    target.command("round 500")
    if form == "json":
        final = tracer.stop(number)
        assert any(row["objects"] == 500 and row["type"] == "bytes" for row in final["growers"])
    else:
        tracer.kill(number)
        assert tracer.wait() == 0
        assert "bytes_kept.py" in tracer.out.text() and "\x1b" not in tracer.out.text()
        target.check_alive()


def test_duration_ends_it(bpf, debian, start):
    target = start(debian, LEAK)
    tracer = Tracer("--json", "-i", 1, "-d", 3, target=target)
    tracer.attached()
    began = time.monotonic()
    final = tracer.finish()
    assert 2.5 <= time.monotonic() - began <= 8
    assert 2 <= len(tracer.snapshots) <= 5
    assert 2.5 <= final["elapsed_s"] <= 6


def test_snapshots_follow_the_schema(bpf, interpreter, start):
    rules = json.loads(run(bpf, "--json-schema")[1])
    target = start(interpreter, LEAK)
    tracer = Tracer.json(target, interval=0.5)
    target.send("run 60 50")
    tracer.take(4)
    target.send("stop")
    target.answer()
    final = tracer.stop()
    lossless(final)
    elapsed = 0
    for snapshot in tracer.snapshots:
        wrong = schema.errors(snapshot, rules)
        assert not wrong, wrong
        assert snapshot["elapsed_s"] > elapsed
        elapsed = snapshot["elapsed_s"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", snapshot["time"])
        process = snapshot["processes"][0]
        assert process["pid"] == target.pid
        assert process["python"] == ".".join(map(str, interpreter.version))
        assert os.path.samefile(process["exe"], "/proc/%d/exe" % target.pid)
        assert process["cmdline"].endswith("-B " + LEAK)
        assert len(process["gc"]["collections"]) == 3
        assert [row["rank"] for row in snapshot["growers"]] == list(range(1, len(snapshot["growers"]) + 1))
        assert sum(row["bytes"] for row in snapshot["growers"]) <= snapshot["outstanding"]["bytes"]
        for row in snapshot["growers"]:
            assert row["bytes_error"] == 0 and row["verdict"] in ("growing", "stable", "warming", "unknown")
    # exact figures of the interpreter itself
    told = target.command("ping")["gc_collections"]
    seen = final["processes"][0]["gc"]["collections"]
    assert all(0 <= now - then <= 3 for now, then in zip(told, seen)), (told, seen)


def test_nothing_but_json_on_stdout(bpf, debian, start):
    target = start(debian, LEAK)
    tracer = Tracer.json(target, "-vv")
    tracer.take(2)
    tracer.stop()
    for line in tracer.out.raw:
        assert line.endswith(b"\n") and isinstance(json.loads(line), dict)


def test_target_exits(bpf, debian, start):
    """What was seen until then is reported; that it ended is said."""
    target = start(debian, LEAK)
    tracer = Tracer.json(target)
    tracer.check = False
    target.command("round 500")
    tracer.fresh()  # types are read from the living
    target.send("quit")
    target.wait()
    status = tracer.wait()
    assert status in (0, 4), (status, tracer.err.text())
    assert "exit" in tracer.err.text() or "ended" in tracer.err.text() or "gone" in tracer.err.text(), tracer.err.text()
    final = json.loads(tracer.out.raw[-1])
    assert final["final"] is True
    rows = [row for row in final["growers"] if row["type"] == "bytes"]
    assert rows and rows[0]["objects"] == 500 and rows[0]["stack"][0]["file"] == LEAK, final["growers"][:3]


def test_target_is_killed(bpf, debian, start):
    target = start(debian, LEAK)
    tracer = Tracer.json(target)
    tracer.check = False
    target.send("run 100 50")
    tracer.snapshot()
    target.kill(signal.SIGKILL)
    target.wait()
    assert tracer.wait() in (0, 4)
    assert json.loads(tracer.out.raw[-1])["final"] is True


def test_target_execs(bpf, debian, start):
    """The pid stays, the interpreter does not: no report may mix the two."""
    target = start(debian, os.path.join(HERE, "programs", "execs.py"))
    tracer = Tracer.json(target)
    tracer.check = False
    target.command("round 500")
    tracer.snapshot()
    target.send("exec")
    status = tracer.wait()
    assert status in (0, 4), (status, tracer.err.text())
    assert json.loads(tracer.out.raw[-1])["final"] is True
    # the new program lives and answers
    assert target.alive()
    assert target.out.wait_for(lambda line: line.startswith("ready "))
    target.check_alive()


@pytest.mark.parametrize("how", ["closed pipe", "closed descriptor", "full device"])
@pytest.mark.parametrize("form", ["json", "table"])
def test_stdout_fails(bpf, debian, start, how, form):
    target = start(debian, LEAK)
    text = code(target.pid)
    options = (["--json"] if form == "json" else []) + ["-i", "0.5", "-p", str(target.pid)]
    if how == "closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
        tracer = Child([bpf] + options, stdin=subprocess.DEVNULL, stdout=writer)
        os.close(writer)
    elif how == "full device":
        with open("/dev/full", "wb") as full:
            tracer = Child([bpf] + options, stdin=subprocess.DEVNULL, stdout=full)
    else:
        tracer = Child(["sh", "-c", 'exec "$@" >&-', "sh", bpf] + options, stdin=subprocess.DEVNULL, stdout=None)
    with tracer:
        status = tracer.wait()
        if how == "closed pipe":
            # as any filter does: `| head` is no error worth a word
            assert status in (0, 141, -signal.SIGPIPE, 6), (status, tracer.err.text())
        else:
            assert status not in (0, -signal.SIGSEGV, -signal.SIGABRT), tracer.err.text()
            assert "pyleak-bpf:" in tracer.err.text()
    assert becomes(lambda: code(target.pid), text) == text
    target.check_alive()


def killed(bpf, interpreter, start):
    target = start(interpreter, LEAK)
    tables = target.command("tables")
    text = code(target.pid)
    tracer = Tracer("--json", "-i", 1, target=target, check=False)
    tracer.attached()
    target.send("run 1000 200")
    tracer.snapshot()
    tracer.kill(signal.SIGKILL)
    tracer.wait()
    return target, tables, text


def test_kill_9_of_the_tracer(bpf, interpreter, start):
    """The target runs on, with its own code; a second tracer can attach afterwards."""
    target, _, text = killed(bpf, interpreter, start)
    assert becomes(lambda: code(target.pid), text) == text
    assert target.alive()
    target.send("stop")
    assert target.answer()["rounds"] > 0
    target.check_alive()
    target.command("free")
    tracer = Tracer.json(target)
    target.command("round 300")
    final = tracer.stop()
    lossless(final)
    assert any(row["objects"] == 300 and row["type"] == "bytes" for row in final["growers"])


def test_kill_9_leaves_the_tables_as_they_were(bpf, interpreter, start):
    """Nothing left behind: not even a pointer that does no harm."""
    target, tables, _ = killed(bpf, interpreter, start)
    target.send("stop")
    target.answer()
    domains = ("raw", "mem", "obj")
    before = {domain: tables[domain] for domain in domains}

    def now():
        answer = target.command("tables")
        return {domain: answer[domain] for domain in domains}

    assert becomes(now, before) == before
    target.check_alive()


# -- text of the target ------------------------------------------------------------------------------------------

def dangerous(text):
    """Characters that drive a terminal or reorder what one reads."""
    return sorted({character for character in text if character not in "\n\t" and
                   (unicodedata.category(character) in ("Cc", "Cs") or
                    character in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")})


def hostile(bpf, interpreter, start, *options):
    target = start(interpreter, os.path.join(HERE, "programs", "hostile.py"), "\x1b[31m\n\"{\u202e", b"\xff\xfe".decode(
        "utf-8", "surrogateescape"))
    tracer = Tracer(*options, "-i", 60, "-n", 1000, target=target)
    tracer.attached()
    target.command("round 200")
    return target, tracer


def test_hostile_names_in_json(bpf, interpreter, start):
    target, tracer = hostile(bpf, interpreter, start, "--json")
    final = tracer.stop()
    lossless(final)
    for line in tracer.out.raw:
        text = line.decode("utf-8", "strict")
        assert not [character for character in text[:-1] if ord(character) < 0x20 or 0x7f <= ord(character) <= 0x9f]
    rows = [row for row in final["growers"] if row["objects"] == 200 and row["type"].startswith("m")
            and row["stack"][0]["file"].startswith("/srv/")]
    assert len(rows) == 19, len(rows)
    files = {row["stack"][0]["file"] for row in rows}
    assert len(files) == 19
    assert "/srv/0-\x1b[31mred\x1b[0m" in files and "/srv/3-two\nlines" in files and "/srv/5-quo\"te" in files
    # what is text and not a command is shown as it is
    assert any("\U0001f40d" in file for file in files)


def test_hostile_names_in_the_table(bpf, debian, start):
    target, tracer = hostile(bpf, debian, start)
    tracer.kill(signal.SIGINT)
    assert tracer.wait() == 0
    text = tracer.out.bytes().decode("utf-8", "strict")
    assert "hostile.py" in text
    assert not dangerous(text), [hex(ord(character)) for character in dangerous(text)]
    assert not dangerous(tracer.err.bytes().decode("utf-8", "strict"))
    target.check_alive()


# -- run -----------------------------------------------------------------------------------------------------------

def test_run_passes_output_and_status_on(bpf, debian):
    program = "import sys; keep = [bytes(500) for _ in range(1000)]; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    plain = run(debian.path, "-c", program)
    status, out, err = run(bpf, "run", "--", debian.path, "-c", program)
    assert plain[0] == status == 7
    assert out.startswith(plain[1]) and plain[2] in err
    report = out[len(plain[1]):] + err.replace(plain[2], "", 1)
    assert "bytes" in report and "<string>" in report


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_run_status(bpf, debian, status):
    assert run(bpf, "run", "--", debian.path, "-c", "import os; os._exit(%d)" % status)[0] == status


def test_run_of_a_killed_command(bpf, debian):
    status, _, _ = run(bpf, "run", "--", debian.path, "-c", "import os; os.kill(os.getpid(), 9)")
    assert status in (137, -9)


def test_run_of_what_is_not_there(bpf):
    status, out, err = run(bpf, "run", "--", "/no/such/command")
    assert status in (2, 4, 127) and out == ""
    a_sentence(err)


def test_run_of_no_python(bpf):
    status, out, err = run(bpf, "run", "--", "/bin/sh", "-c", "echo shell; exit 3")
    assert status == 3 and out.startswith("shell\n")
    assert "Python" in err


def test_run_sees_the_first_allocations(bpf, interpreter, tmp_path):
    """What is made while the program's modules are imported is in the report."""
    module = tmp_path / "early.py"
    module.write_text("KEPT = [bytes(700) for _ in range(500)]\n")
    program = tmp_path / "program.py"
    program.write_text("import early\nMORE = [bytes(900) for _ in range(100)]\nprint(len(early.KEPT))\n")
    status, out, err = run(bpf, "run", "-n", "50", "--", interpreter.path, "-B", str(program))
    assert status == 0 and out.startswith("500\n")
    report = out[4:] + err
    assert "early.py" in report and re.search(r"early\.py:1\b", report), report
    assert re.search(r"program\.py:2\b", report), report


def test_run_leaves_stdin_alone(bpf, debian):
    done = subprocess.run([bpf, "run", "--", debian.path, "-c", "print(input()[::-1])"], input=b"abc\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 0 and done.stdout.startswith(b"cba\n")


def test_run_leaves_daemons_alone(bpf, debian, tmp_path):
    """What the command started in the background outlives it and us."""
    note = tmp_path / "pid"
    status, out, err = run(bpf, "run", "--", "/bin/sh", "-c",
                           "sleep 60 </dev/null >/dev/null 2>&1 & echo $! >%s; %s -c 'print(1)'" % (note, debian.path))
    assert status == 0, err
    pid = int(note.read_text())
    try:
        os.kill(pid, 0)
        with open("/proc/%d/status" % pid) as lines:
            assert "TracerPid:\t0\n" in lines.read()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_run_signals_reach_the_command(bpf, debian):
    """SIGTERM ends the command the way it wants to end, and the report still comes."""
    program = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\nprint('up', flush=True)\nsignal.pause()"
    with Child([bpf, "run", "--", debian.path, "-c", program], stdin=subprocess.DEVNULL) as child:
        assert child.out.wait_for(lambda line: line == "up")
        child.kill(signal.SIGTERM)
        assert child.wait() == 5


# -- doctor --------------------------------------------------------------------------------------------------------

def test_doctor(bpf):
    status, out, err = run(bpf, "doctor")
    assert status == 0, (out, err)
    assert os.uname().release in out


def test_doctor_of_a_process(bpf, interpreter, start):
    target = start(interpreter, LEAK)
    status, out, _ = run(bpf, "doctor", "-p", target.pid)
    assert status == 0
    assert ".".join(map(str, interpreter.version)) in out
    target.check_alive()


def test_doctor_of_no_python(bpf):
    with Child(["/bin/sleep", "100"]) as child:
        status, out, err = run(bpf, "doctor", "-p", child.pid)
        assert status == 3 and "Python" in out + err
    assert run(bpf, "doctor", "-p", no_such_pid())[0] == 4


# -- several -------------------------------------------------------------------------------------------------------

def test_a_full_map_is_counted_and_said(bpf, debian, start):
    """More live blocks than there is room for: the loss is in the report, and the exit status says incomplete."""
    target = start(debian, LEAK)
    tracer = Tracer("--json", "-i", "1", "--max-blocks", "256", target=target, check=False)
    tracer.attached()
    # what is young has a place of its own, which this many blocks overflow
    target.command("round 20000")
    final = tracer.stop(status=5)
    assert final["lost"]["blocks_map_full"] > 0 and final["lost"]["events"] >= final["lost"]["blocks_map_full"]
    assert "--max-blocks" in tracer.err.text()
    target.check_alive()


def test_two_processes(bpf, debian, start):
    """Two of one binary, and a third that nobody asked about."""
    targets = [start(debian, LEAK) for _ in range(3)]
    tracer = Tracer("--json", "-i", "1", "-p", "%d,%d" % (targets[0].pid, targets[1].pid))
    tracer.attached()
    targets[0].command("round 300")
    targets[1].command("round 500")
    targets[2].command("round 700")
    final = tracer.stop()
    lossless(final)
    assert {process["pid"] for process in final["processes"]} == {targets[0].pid, targets[1].pid}
    seen = {(row["pid"], row["objects"]) for row in final["growers"] if row["type"] == "bytes" and row["objects"] >= 300}
    assert seen == {(targets[0].pid, 300), (targets[1].pid, 500)}
    for target in targets:
        target.check_alive()


def test_a_forked_child_is_not_its_parent(bpf, debian, start):
    """A child that frees what it inherited must not change the parent's books."""
    target = start(debian, os.path.join(HERE, "programs", "forks.py"))
    tracer = Tracer.json(target)
    target.command("round 500")
    assert target.command("fork")["status"] == 0
    final = tracer.stop()
    rows = [row for row in final["growers"] if row["type"] == "bytes" and row["pid"] == target.pid]
    assert rows and rows[0]["objects"] == 500, final["growers"][:3]
