# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real interpreters, the real tool, the real kernel.

PYLEAK          the tool (default build/pyleak-bpf)
PYLEAK_FULL=1   every program on every interpreter; otherwise on Debian's python3 and on one other, a
                different one each day (PYLEAK_ROTATE=N fixes which)
PYLEAK_ROUNDS   attach/detach rounds (default 30)
PYLEAK_COUNTS   a file that gets "passed=N failed=N skipped=N"
CI=true         what is missing fails a test instead of skipping it; only pyenv may be missing
"""
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import interpreters  # noqa: E402
import truth  # noqa: E402
from process import PYLEAK, Target  # noqa: E402

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
FULL = os.environ.get("PYLEAK_FULL", "") not in ("", "0")
# set here, so that the workers of one run agree
os.environ.setdefault("PYLEAK_ROTATE", str(int(time.time()) // 86400))
ROTATE = int(os.environ["PYLEAK_ROTATE"])

ALL = interpreters.find()


def matrix(kind, full=FULL):
    """(program, interpreter) pairs of this run."""
    cases = []
    others = [found for found in ALL if found.origin != "debian" and not found.missing] or \
        [found for found in ALL if found.origin != "debian"]
    for number, program in enumerate(truth.programs(kind)):
        chosen = ALL if full else [ALL[0], others[(number + ROTATE) % len(others)]]
        for found in chosen:
            cases.append(pytest.param(program, found, id="%s-%s" % (
                os.path.basename(program)[:-3], interpreters.name(found))))
    return cases


def pytest_generate_tests(metafunc):
    names = metafunc.fixturenames
    full = FULL or metafunc.module.__name__ == "test_corpus_truth"  # cheap, and the ground of the rest
    if "leak_case" in names:
        metafunc.parametrize("leak_case,interpreter", matrix("leaks", full), indirect=True)
    elif "healthy_case" in names:
        metafunc.parametrize("healthy_case,interpreter", matrix("healthy", full), indirect=True)
    elif "interpreter" in names:
        metafunc.parametrize("interpreter", ALL, ids=interpreters.name, indirect=True)


def unusable(why, may_miss=False):
    if CI and not may_miss:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture
def interpreter(request):
    found = request.param
    if found.missing:
        unusable(found.missing, may_miss=found.origin == "pyenv")
    return found


@pytest.fixture
def debian():
    """The system's own python3: static, stripped, profile-guided."""
    if ALL[0].missing:
        unusable(ALL[0].missing)
    return ALL[0]


@pytest.fixture
def leak_case(request, interpreter):
    return truth.Truth(request.param, interpreter.version)


@pytest.fixture
def healthy_case(request, interpreter):
    return truth.Truth(request.param, interpreter.version)


@pytest.fixture(scope="session")
def tool():
    """The built tool; a test of its command line needs no more."""
    if not os.access(PYLEAK, os.X_OK):
        pytest.fail("%s is not built" % PYLEAK, pytrace=False)
    return PYLEAK


@pytest.fixture(scope="session")
def bpf(tool):
    """The tool on a host where it can trace."""
    if os.geteuid() != 0:
        unusable("tracing needs root")
    doctor = subprocess.run([tool, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    if doctor.returncode == 3:
        unusable("BPF is not usable here: " + doctor.stdout.decode(errors="replace"))
    return tool


@pytest.fixture
def start(request):
    """start(python, program, ...): a Target that is ended with the test."""
    started = []

    def run(found, program, *args, **more):
        target = Target(getattr(found, "path", found), program, *args, **more)
        started.append(target)
        return target

    yield run
    for target in started:
        target.close()


def pytest_report_header(config):
    return ["tool: " + PYLEAK, "interpreters: " + ", ".join(interpreters.name(found) for found in ALL),
            "matrix: " + ("full" if FULL else "Debian's python3 and one other by turns (%d); PYLEAK_FULL=1 for all" % ROTATE)]


def pytest_unconfigure(config):
    """The last line of a run, and the same for `make check` to add up."""
    if hasattr(config, "workerinput"):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    stats = reporter.stats
    passed, skipped = len(stats.get("passed", ())), len(stats.get("skipped", ()))
    failed = len(stats.get("failed", ())) + len(stats.get("error", ()))
    counts = os.environ.get("PYLEAK_COUNTS")
    if counts:
        with open(counts, "w", encoding="ascii") as file:
            file.write("passed=%d failed=%d skipped=%d\n" % (passed, failed, skipped))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
