# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Interpreters in programs that are not called python: renamed, embedded as a shared or a static library, loaded by a server."""
import glob
import http.client
import os
import shutil
import socket
import subprocess

import pytest

import interpreters
from conftest import unusable
from process import CORPUS, HERE, PATIENCE, PYLEAK, Child, Tracer, lossless
from truth import Truth, brief

SOURCE = os.path.join(HERE, "programs", "embed.c")
LEAK = os.path.join(CORPUS, "leaks", "classes.py")
SHARED = [found for found in interpreters.find() if found.shared and found.version >= (3, 8)]  # Py_BytesMain
STATIC = {
    "exporting": ["-no-pie", "-fno-pie", "-Wl,--export-dynamic", "{config}/libpython3.11.a"],
    "exporting_stripped": ["-no-pie", "-fno-pie", "-Wl,--export-dynamic", "-s", "{config}/libpython3.11.a"],
    "exporting_stripped_pie": ["-pie", "-fPIE", "-Wl,--export-dynamic", "-s", "{config}/libpython3.11-pic.a"],
    "symbols": ["-no-pie", "-fno-pie", "{config}/libpython3.11.a"],
    "symbols_pie": ["-pie", "-fPIE", "{config}/libpython3.11-pic.a"],
    "stripped": ["-no-pie", "-fno-pie", "-s", "{config}/libpython3.11.a"],
}


def compile_c(output, *args):
    compiler = shutil.which("gcc")
    if not compiler:
        unusable("gcc is missing")
    subprocess.run([compiler, "-O2", "-o", str(output), SOURCE] + list(args), check=True)
    return str(output)


def debian_config():
    found = glob.glob("/usr/lib/python3.11/config-3.11-*")
    if not found or not os.path.exists("/usr/include/python3.11/Python.h"):
        unusable("libpython3.11-dev is not installed")
    return found[0]


def link_static(path, how):
    config = debian_config()
    args = [arg.replace("{config}", config) for arg in STATIC[how]]
    return compile_c(path, "-I/usr/include/python3.11", *args, "-lexpat", "-lz", "-lm", "-ldl", "-lpthread", "-lutil")


def check_exact(program, start, version, env):
    """The corpus leak, its amount, and all blocks that the target knows of."""
    truth = Truth(LEAK, version)
    target = start(program, LEAK, env=env)
    tracer = Tracer.json(target, "-n", 2000)
    target.command("mark")
    target.command("round 5")
    blocks = target.command("mark")["blocks"]
    outstanding = tracer.fresh()["outstanding"]["pymalloc_objects"]
    done = target.command("round 400")
    grown = target.command("mark")["blocks"] - blocks
    seen = tracer.fresh()["outstanding"]["pymalloc_objects"] - outstanding
    assert abs(seen - grown) <= max(12, 0.01 * grown), "%d blocks seen, %d there" % (seen, grown)
    final = tracer.stop()
    lossless(final)
    truth.check_amount(final, done["rounds"])
    return final["processes"][0]


def test_renamed(debian, bpf, start, tmp_path):
    program = str(tmp_path / "myapp")
    shutil.copy(debian.path, program)
    process = check_exact(program, start, debian.version, {"PYTHONHOME": "/usr"})
    assert process["exe"] == program


@pytest.mark.parametrize("found", SHARED, ids=interpreters.name)
def test_shared_library(found, bpf, start, tmp_path):
    """The program itself has a main and nothing else."""
    if found.missing:
        unusable(found.missing, may_miss=True)
    prefix = os.path.dirname(os.path.dirname(found.path))
    number = "%d.%d" % found.version[:2]
    lib = os.path.join(prefix, "lib")
    program = compile_c(tmp_path / "server", "-I%s/include/python%s" % (prefix, number), "-L" + lib, "-lpython" + number,
                        "-Wl,-rpath," + lib)
    check_exact(program, start, found.version, {"PYTHONHOME": prefix, "LD_LIBRARY_PATH": lib})


def test_debian_shared_library(debian, bpf, start, tmp_path):
    """Not the interpreter that /usr/bin/python3 is."""
    debian_config()
    library = glob.glob("/usr/lib/*/libpython3.11.so.1.0")
    if not library:
        unusable("libpython3.11 is not installed")
    program = compile_c(tmp_path / "server", "-I/usr/include/python3.11", library[0])
    process = check_exact(program, start, debian.version, {"PYTHONHOME": "/usr", "LD_LIBRARY_PATH": os.path.dirname(library[0])})
    assert process["python"].startswith("3.11.")


@pytest.mark.parametrize("how", [how for how in STATIC if how != "stripped"])
def test_static_library(how, debian, bpf, start, tmp_path):
    program = link_static(tmp_path / "server", how)
    check_exact(program, start, (3, 11, 2), {"PYTHONHOME": "/usr"})


def test_without_any_symbol(debian, bpf, start, tmp_path):
    """Nothing tells where the interpreter is: refused by name, and unharmed."""
    program = link_static(tmp_path / "server", "stripped")
    target = start(program, LEAK, env={"PYTHONHOME": "/usr"})
    tracer = Tracer("--json", target=target, check=False)
    assert tracer.wait() == 3
    assert "without symbols" in tracer.err.text(), tracer.err.text()
    target.check_alive()


class Server(Child):
    """uwsgi, and requests to it through its socket."""

    def __init__(self, program, path, *args):
        self.path = path
        super().__init__([program, "--http-socket", path, "--wsgi-file", os.path.join(HERE, "programs", "wsgi_app.py"), "--need-app"]
                         + list(args), stdin=subprocess.DEVNULL)
        ready = self.err.wait_for(lambda line: line.startswith("spawned uWSGI worker"), PATIENCE)
        assert ready, self.err.text()
        self.worker = int(ready.split("pid: ")[1].split(",")[0].rstrip(")"))

    def get(self, query):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(self.path)
        connection.request("GET", "/?%s" % query)
        answer = connection.getresponse().read()
        connection.close()
        return int(answer)


@pytest.mark.parametrize("args", [[], ["--master"], ["--enable-threads", "--threads", "2"]], ids=["single", "master", "threads"])
def test_uwsgi(args, bpf, tmp_path):
    program = shutil.which("uwsgi_python3")
    if not program:
        unusable("uwsgi-plugin-python3 is not installed")
    marker = [number for number, line in enumerate(open(os.path.join(HERE, "programs", "wsgi_app.py"), encoding="utf-8"), 1)
              if line.endswith("  # LEAK\n")][0]
    with Server(program, str(tmp_path / "socket"), *args) as server:
        server.get(10)
        tracer = Child([PYLEAK, "-p", str(server.worker), "--json", "--mode", "exact", "-i", "1", "-n", "30"], stdin=subprocess.DEVNULL)
        with tracer:
            assert tracer.err.wait_for(lambda line: line.startswith("pyleak-bpf: tracing")), tracer.err.text()
            grown = sum(server.get(500) for _ in range(4))
            tracer.kill(2)
            assert tracer.wait() == 0, tracer.err.text()
            final = Tracer.parse(_Snapshots(), tracer.out.seen[-1])
        lossless(final)
        first = final["growers"][0]
        assert (first["type"], first["objects"]) == ("uwsgi_file_%s.Session" % _module(server), 2000), brief(final)
        assert (first["stack"][0]["function"], first["stack"][0]["line"]) == ("application", marker)
        assert abs(final["outstanding"]["pymalloc_objects"] - grown) <= 40, (final["outstanding"], grown)
        server.get(1)


class _Snapshots:
    def __init__(self):
        self.snapshots = []


def _module(server):
    """uwsgi makes the module's name from the path of the file."""
    path = os.path.join(HERE, "programs", "wsgi_app.py")
    return path.rsplit(".", 1)[0].replace("/", "_").replace(".", "_")
