# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real pre-fork servers under load: each worker's books are right, and the row names the route or the task."""
import collections
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from conftest import unusable
from process import HERE, PATIENCE, Child, Tracer

PROGRAMS = os.path.join(HERE, "programs")
FREE_LISTS = 80  # PyList_MAXFREELIST


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, child):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert child.alive() and time.monotonic() < deadline, child.err.text()
            time.sleep(0.05)


def needs(program, module):
    found = shutil.which(program) if program else sys.executable
    done = subprocess.run(["/usr/bin/python3", "-c", "import " + module], stderr=subprocess.DEVNULL)
    if not found or done.returncode:
        unusable("%s or Debian's python3-%s is not installed" % (program, module))
    return found


def get(port, path):
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=PATIENCE) as answer:
        return answer.read().decode()


def kept(snapshot, name):
    """Objects by pid; the innermost frames of the application that made them."""
    objects, lines = collections.Counter(), set()
    for row in snapshot["growers"]:
        if (row["type"] or "").endswith(name):
            objects[row["pid"]] += row["objects"]
            lines.add(tuple(frame["function"] for frame in row["stack"] if (frame["file"] or "").startswith(PROGRAMS)))
    return dict(objects), lines


def test_gunicorn_with_flask(bpf):
    needs("gunicorn", "flask")
    port = free_port()
    with Child(["/usr/bin/python3", "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:%d" % port, "--chdir", PROGRAMS, "web:application"],
               env={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
        with Tracer("--json", "-i", 1, "-n", 100000, "--children", "--group-by", "app", "-p", server.pid) as tracer:
            tracer.attached()
            wait_for_port(port, server)
            for _ in range(150):
                get(port, "/leak")
                get(port, "/fine")
            truths = {}
            for _ in range(200):  # whoever answers
                told = json.loads(get(port, "/truth"))
                truths[told["pid"]] = told["orders"]
                if len(truths) == 2:
                    break
            assert sum(truths.values()) == 150
            snapshot = tracer.fresh()
            rows = [row for row in snapshot["growers"] if row["stack"] and row["stack"][0] and
                    any((frame["file"] or "").endswith("web.py") and frame["function"] in ("leak", "Order.__init__")
                        for frame in row["stack"])]
            assert {process["pid"] for process in snapshot["processes"]} >= set(truths) | {server.pid}
            assert rows and all(row["pid"] in truths for row in rows), rows
            by_type = collections.Counter()
            for row in rows:
                by_type[row["pid"], row["type"]] += row["objects"]
            for pid, orders in truths.items():
                # ORDERS' items are told with what they are made for; lists come from a free list of before the attach, and go to one (/fine)
                assert by_type[pid, "web.Order"] - orders in (0, 1), (truths, by_type)
                assert abs(by_type[pid, "list"] - 2 * orders) <= FREE_LISTS, (truths, by_type)
            tracer.kill(2)
            tracer.finish()
        server.kill(15)
        server.wait()


def test_a_worker_that_is_replaced(bpf):
    """Orders by type are exact in each worker, also in one that gunicorn starts in place of another."""
    needs("gunicorn", "flask")
    port = free_port()
    with Child(["/usr/bin/python3", "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:%d" % port, "--chdir", PROGRAMS, "web:application"],
               env={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
        wait_for_port(port, server)
        with Tracer("--json", "-i", 1, "-n", 100000, "--children", "-p", server.pid) as tracer:
            tracer.attached()
            first = json.loads(get(port, "/truth"))["pid"]
            os.kill(first, 15)  # a worker of our own server
            for _ in range(100):
                get(port, "/leak")
            truths = {}
            deadline = time.monotonic() + PATIENCE
            while sum(truths.values()) < 100 or len(truths) < 2:
                assert time.monotonic() < deadline, truths
                told = json.loads(get(port, "/truth"))
                truths[told["pid"]] = told["orders"]
            objects, functions = kept(tracer.fresh(), "web.Order")
            assert objects == {pid: orders for pid, orders in truths.items() if orders}, (objects, truths)
            assert functions == {("leak",)}
            tracer.kill(2)
            tracer.finish()
        server.kill(15)
        server.wait()


def test_celery_with_redis(bpf, tmp_path):
    redis = needs("redis-server", "celery")
    needs(None, "redis")
    port = free_port()
    env = {"PYLEAK_REDIS": "redis://127.0.0.1:%d/0" % port, "PYTHONPATH": PROGRAMS, "PYTHONDONTWRITEBYTECODE": "1"}
    with Child([redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]) as broker:
        wait_for_port(port, broker)
        with Child(["/usr/bin/python3", "-m", "celery", "-A", "tasks", "worker", "-c", "2", "-l", "info"], env=env,
                   cwd=str(tmp_path)) as worker:
            assert worker.err.wait_for(lambda line: "ready." in line, PATIENCE * 2), worker.err.text()
            with Tracer("--json", "-i", 1, "-n", 100000, "--children", "-p", worker.pid) as tracer:
                tracer.attached()
                caller = subprocess.run(
                    ["/usr/bin/python3", "-c",
                     "import collections, json, tasks\n"
                     "done = [tasks.keep.delay(i) for i in range(120)] + [tasks.fine.delay(50) for _ in range(20)]\n"
                     "print(json.dumps(collections.Counter(each.get(timeout=60) for each in done[:120])))\n"
                     "[each.get(timeout=60) for each in done[120:]]"],
                    env=dict(os.environ, **env), stdout=subprocess.PIPE, timeout=PATIENCE * 3, check=True)
                truths = {int(pid): count for pid, count in json.loads(caller.stdout).items()}
                assert sum(truths.values()) == 120
                objects, functions = kept(tracer.fresh(), "tasks.Receipt")
                assert objects == truths
                assert functions == {("keep",)}, functions
                tracer.kill(2)
                tracer.finish()
            worker.kill(15)
            worker.wait(PATIENCE * 2)
        broker.kill(15)
        broker.wait()
