# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who keeps objects alive, against programs that know it."""
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

import conftest
import schema
import truth
from process import HERE, PATIENCE, Child

PROGRAM = os.path.join(HERE, "programs", "holders.py")
ROOTS = ("interpreter", "library", "c-memory", "c-reference", "garbage")
ROUNDS = 2500


def refs(tool, target, *args):
    return subprocess.run([tool, "refs", "-p", str(target.pid)] + [str(arg) for arg in args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * PATIENCE)


def chains(tool, target, *args):
    done = refs(tool, target, "--json", *args)
    assert done.returncode == 0 and not done.stderr, (args, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def way(chain):
    return "".join(chain["chain"])


def test_each_way(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    expected = target.command("expected")
    wrong = {}
    for name, (root, expected_way) in expected.items():
        first = chains(tool, target, "--type", name)[0]
        assert first["type"] == name
        found = way(first)  # any of a circle may be the first
        if (first["root"]["kind"], found[:len(expected_way)] if expected_way.startswith("(") else found) != (root, expected_way):
            wrong[name] = (first["root"], way(first), expected_way)
        if root == "frame":
            assert first["root"]["name"].split(".")[-1] in ("running", "looping") and first["root"]["line"] > 0, first["root"]
    assert not wrong, wrong
    target.command("ping")
    assert not target.err.seen


def test_references_are_counted(interpreter, tool, start):
    target = start(interpreter, PROGRAM)
    for address, number in target.command("counts").items():
        chain, = chains(tool, target, "--addr", address)
        assert chain["objects"] == chain["of"] == 1
        assert (chain["reference_count"], chain["references_found"], chain["unexplained_refs"]) == (number, number, 0), (address, way(chain))
    leaked = chains(tool, target, "--type", "Leaked")[0]
    assert (leaked["reference_count"], leaked["references_found"], leaked["unexplained_refs"]) == (1, 0, 1)


def test_objgraph_says_so_too(debian, tool, start):
    """The same question, asked by code in the process: objgraph for the module, the collector for what refers directly."""
    if debian.root:
        pytest.skip("objgraph is not in its root")
    if subprocess.run([debian.path, "-c", "import objgraph"], stderr=subprocess.DEVNULL).returncode:
        conftest.unusable("python3-objgraph is missing")
    target = start(debian, PROGRAM)
    for name, (number, module, referrers) in target.command("objgraph").items():
        first = chains(tool, target, "--type", name)[0]
        assert (first["of"], first["root"]["name"]) == (number, module), (name, first)
        # where an attribute is in a dict, the collector names that and refs its owner
        ours = {referrer["type"].split(".")[-1] for referrer in first["referrers"]} - {"frame"}
        assert ours == set(referrers) or "dict" in referrers, (name, ours, referrers)


def test_the_holder_of_each_leak(interpreter, tool, start):
    wrong = {}
    for case in (truth.Truth(path, interpreter.version) for path in conftest.programs("leaks")):
        if not case.runs:
            continue
        target = start(interpreter, case.path)
        target.command("round %d" % ROUNDS)
        found = chains(tool, target, "--type", case.types[0])
        named = [(way(chain), tuple(chain["types"])) for chain in found if chain["root"]["kind"] == "module"]
        assert len(set(named)) == len(named), "one way, told twice"
        first = found[0]
        good = first["root"]["kind"] == case.holder if case.holder in ROOTS else case.holder in way(first)
        if not good:
            wrong[os.path.basename(case.path)] = (first["root"], way(first), case.holder)
        target.close()
    assert not wrong, wrong


def test_while_it_churns(debian, tool, start):
    target = start(debian, PROGRAM)
    target.send("churn")
    for _ in range(5):
        first = chains(tool, target, "--type", "InList")[0]
        assert (first["root"]["kind"], way(first), first["objects"]) == ("module", "__main__.LIST[*]", 40)
    target.send("ping")
    target.answer()


def test_a_still_picture(debian, tool, start):
    target = start(debian, PROGRAM)
    target.send("churn")
    for chain in chains(tool, target, "--type", "InList", "--freeze", "--max-pause", "5s"):
        assert chain["consistency"]["grade"] == "exact" and 0 < chain["consistency"]["frozen_s"] < 5
    target.send("ping")
    target.answer()


def test_a_core(debian, tool, start, tmp_path):
    """The same answers, of what a process left."""
    if debian.root:
        pytest.skip("its files are in its root")
    if not shutil.which("gcore"):
        conftest.unusable("gdb is missing")
    target = start(debian, PROGRAM)
    expected = target.command("expected")
    subprocess.run(["gcore", "-o", str(tmp_path / "core"), str(target.pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=2 * PATIENCE)
    core = str(tmp_path / ("core.%d" % target.pid))
    for name in expected:
        done = subprocess.run([tool, "refs", "--core", core, "--type", name, "--json"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
        live, dead = chains(tool, target, "--type", name), [json.loads(line) for line in done.stdout.splitlines()]
        for each in live + dead:
            del each["time"], each["consistency"]
        assert live == dead, name


def test_leaked(debian, tool, start):
    target = start(debian, os.path.join("leaks", "decorated.py"))
    target.send("run 100 200")
    found = chains(tool, target, "--leaked", "-d", "3")
    target.send("stop")
    target.answer()
    orders = [chain for chain in found if chain["type"] == "__main__.Order"]
    assert orders and way(orders[0]) == "__main__.ORDERS[*]" and 0 < orders[0]["objects"] <= 600, [way(chain) for chain in found]


def test_nothing_leaked(debian, tool, start):
    target = start(debian, PROGRAM)
    done = refs(tool, target, "--leaked", "-d", "1")
    assert done.returncode == 0 and not done.stdout and b"no type grew" in done.stderr


def test_values_are_not_shown(debian, tool, start):
    target = start(debian, PROGRAM)
    for more, shown in (([], False), (["--show-values"], True)):
        for how in ("--json", "--dot", "-v"):
            out = refs(tool, target, "--type", "InSecret", how, *more).stdout
            assert (b"a secret" in out) == shown, (how, out)


def test_schema(debian, tool, start):
    target = start(debian, PROGRAM)
    rules = json.loads(subprocess.run([tool, "refs", "--json-schema"], stdout=subprocess.PIPE, check=True).stdout)
    for name in ("InList", "Node", "Leaked", "Circle", "InFrame", "list items"):
        for chain in chains(tool, target, "--type", name):
            assert not schema.errors(chain, rules)


def test_all_objects_are_accounted_for(debian, tool, start):
    target = start(debian, PROGRAM)
    for name in ("str", "dict", "function", "tuple", "list items"):
        found = chains(tool, target, "--type", name, "-n", "10000")
        assert sum(chain["objects"] for chain in found) == found[0]["of"]


def test_the_table(debian, tool, start):
    target = start(debian, PROGRAM)
    out = refs(tool, target, "--type", "__main__.InList").stdout.decode()
    lines = out.splitlines()
    assert lines[0].startswith("40 __main__.InList  pid %d" % target.pid)
    assert lines[2].split()[0] == "40" and lines[2].endswith("__main__.LIST[*]") and lines[3].strip() == "module __main__"
    assert any(line.split() == ["40", "[*]", "of", "list"] for line in lines), lines
    out = refs(tool, target, "--type", "Leaked").stdout.decode()
    assert "no Python object" in out and "reference count 1, referrers found 0" in out


def test_pictures(debian, tool, start):
    target = start(debian, PROGRAM)
    dot = refs(tool, target, "--type", "InClosure", "--dot")
    assert dot.returncode == 0
    if not shutil.which("dot"):
        conftest.unusable("graphviz is missing")
    drawn = subprocess.run(["dot", "-Tplain"], input=dot.stdout, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "__main__.InClosure" in drawn and "edge" in drawn
    svg = refs(tool, target, "--type", "InClosure", "--svg")
    assert svg.returncode == 0 and xml.etree.ElementTree.fromstring(svg.stdout).tag.endswith("svg")


def test_no_graphviz(debian, tool, start):
    target = start(debian, PROGRAM)
    done = subprocess.run([tool, "refs", "-p", str(target.pid), "--type", "Global", "--svg"], env=dict(os.environ, PATH="/nonexistent"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 3 and b"graphviz" in done.stderr and not done.stdout


def test_what_is_not_there(debian, tool, start):
    target = start(debian, PROGRAM)
    for args in (["--type", "no.such.Type"], ["--addr", "0x1000"]):
        done = refs(tool, target, *args)
        assert done.returncode == 2 and b"there is no live object" in done.stderr and not done.stdout


def test_too_large_a_heap(debian, tool, start):
    target = start(debian, PROGRAM)
    done = refs(tool, target, "--type", "Global", "--max-memory", "1MiB")
    assert done.returncode == 3 and b"--max-memory allows" in done.stderr and b"gcore" in done.stderr and not done.stdout
    assert refs(tool, target, "--type", "Global", "--max-memory", "1GiB").returncode == 0


def test_hostile_names(debian, tool, start):
    """Whatever its classes and attributes are called, a terminal shows text and JSON stays JSON."""
    with Child([debian.path, "-c", "import sys, time\n"
                "C = type('\\x1b[31mRed\\u202e\\n\"', (), {'__module__': '\\x07m'})\n"
                "globals()['\\x1b]0;t\\x07'] = [C()]\nprint('ready', flush=True)\nsys.stdin.read()"]) as child:
        child.says("ready")
        name = "\x07m.\x1b[31mRed\u202e\n\""
        for how in ("--json", "--dot", "-v"):
            done = subprocess.run([tool, "refs", "-p", str(child.pid), "--type", name, how], stdout=subprocess.PIPE, timeout=PATIENCE)
            assert done.returncode == 0
            text = done.stdout.decode()
            assert not any(ord(character) < 32 and character != "\n" or character in "\x7f" + ("" if how == "--json" else "\u202e") for character in text), text
            if how == "--json":
                assert json.loads(text)["type"] == name


@pytest.mark.parametrize("args", [[], ["-p", "1"], ["-a", "--type", "x"], ["-p", "1", "--type", "x", "--addr", "0x5000"], ["-p", "1", "--addr", "zz"],
                                  ["-p", "1,2", "--type", "x"], ["-p", "1", "--type", "x", "-d", "5"], ["-p", "1", "--type", "x", "--json", "--dot"],
                                  ["-p", "1", "--type", ""], ["-p", "1", "--type", "x", "--max-memory", "0"], ["-p", "1", "--type", "x", "--every", "5"]], ids=" ".join)
def test_bad_options(tool, args):
    done = subprocess.run([tool, "refs"] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr.startswith(b"pyleak-bpf: ")


def test_what_is_no_python(tool):
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        try:
            done = refs(tool, other, "--type", "x")
        finally:
            other.kill()
    assert done.returncode == 3 and not done.stdout
