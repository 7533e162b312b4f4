# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real interpreters, the real tool, the real kernel.

PYLEAK          the tool (default build/pyleak-bpf)
PYLEAK_ROOTS, PYLEAK_SAMPLE  see check-interpreters.sh (PYLEAK_ROTATE=N fixes which programs the sample has)
PYLEAK_EVERYWHERE=1          each program of the corpus and each allocator on each interpreter, not on a few of them (make check-everywhere)
PYLEAK_ROUNDS   attach/detach rounds (default 30)
PYLEAK_COUNTS   a file that gets "passed=N failed=N skipped=N"
CI=true         what is missing fails a test instead of skipping it; only pyenv may be missing
"""
import os
import subprocess
import sys
import time
import zlib

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import interpreters  # noqa: E402
import roots  # noqa: E402
import truth  # noqa: E402
from process import PYLEAK, Target  # noqa: E402

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
# set here, so that the workers of one run agree
os.environ.setdefault("PYLEAK_ROTATE", str(int(time.time()) // 86400))
ROTATE = int(os.environ["PYLEAK_ROTATE"])
OTHERS = 3

ALL = interpreters.find()
collect_ignore = [] if os.environ.get("PYLEAK_ROOTS") else ["test_roots.py"]
if not os.environ.get("PYLEAK_ESTIMATES"):
    collect_ignore.append("test_budget_estimates.py")
# their programs run on 2.7, too; those of others are in Python 3, and test_corpus_truth needs tracemalloc
WITH_27 = ("test_coverage", "test_attach_rounds", "test_spoilt", "test_census", "test_core", "test_refs")


def programs(kind):
    """The corpus; on roots PYLEAK_SAMPLE programs of it, other ones each day."""
    found = truth.programs(kind)
    count = min(int(os.environ.get("PYLEAK_SAMPLE", len(found))), len(found))
    if not os.environ.get("PYLEAK_ROOTS") or count == len(found):
        return found
    return [found[(ROTATE * count + number) % len(found)] for number in range(count)]


def some(found, what):
    """The interpreters that WHAT (any text) runs on: Debian's and a few others, those other ones each day."""
    if os.environ.get("PYLEAK_EVERYWHERE") or os.environ.get("PYLEAK_ROOTS"):
        return found
    always, others = found[:1], [each for each in found[1:] if not each.missing]
    first = ROTATE * OTHERS + zlib.crc32(what.encode())
    return always + [others[(first + number) % len(others)] for number in range(min(OTHERS, len(others)))]


def program_name(path):
    return os.path.basename(path)[:-3]


def matrix(kind):
    """All (program, interpreter) pairs of Python 3."""
    return [pytest.param(program, found, id="%s-%s" % (program_name(program), interpreters.name(found)))
            for program in programs(kind) for found in ALL
            if found.version >= (3,) and truth.Truth(program, found.version).runs]


def pytest_configure(config):
    config.addinivalue_line("markers", "sampled: on some interpreters, other ones each day (PYLEAK_EVERYWHERE: on all)")
    config.addinivalue_line("markers", "corpus(kind): once for each program, which is the fixture of that name")


def pytest_generate_tests(metafunc):
    names = metafunc.fixturenames
    corpus = metafunc.definition.get_closest_marker("corpus")
    if corpus:
        metafunc.parametrize("program", programs(corpus.args[0]), ids=program_name)
    elif "leak_case" in names:
        metafunc.parametrize("leak_case,interpreter", matrix("leaks"), indirect=True)
    elif "healthy_case" in names:
        metafunc.parametrize("healthy_case,interpreter", matrix("healthy"), indirect=True)
    elif "interpreter" in names:
        found = [each for each in ALL if each.version >= (3,) or metafunc.module.__name__ in WITH_27]
        metafunc.parametrize("interpreter", found, ids=interpreters.name, indirect=True)


def pytest_collection_modifyitems(config, items):
    """Of those that are marked as sampled: each combination of the other parameters on some interpreters."""
    kept, left = [], []
    for item in items:
        chosen = True
        if item.get_closest_marker("sampled") and "interpreter" in item.callspec.params:
            found = item.callspec.params["interpreter"]
            chosen = found in some(ALL, item.nodeid.replace(interpreters.name(found), ""))
        (kept if chosen else left).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


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
def usable():
    """All interpreters that are here."""
    for found in ALL:
        if found.missing and found.origin != "pyenv" and CI:
            unusable(found.missing)
    here = [found for found in ALL if not found.missing]
    return here or unusable("no interpreter is here")


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
def corner(bpf, tmp_path):
    """A copy of python3 under a name of its own: what -a --comm is told to trace is ours alone, and so are the probes in it."""
    name = "pyleak%d" % (os.getpid() % 10000)
    path = str(tmp_path / name)
    subprocess.run(["cp", "--reflink=auto", os.path.realpath("/usr/bin/python3"), path], check=True)
    return name, path


@pytest.fixture
def start(request):
    """start(python, program, ...): a Target that is ended with the test."""
    started = []

    def run(found, program, *args, **more):
        root = getattr(found, "root", None)
        if root:
            target = roots.WrappedTarget(roots.in_root(root), found.path, program, *args, **more)
        else:
            target = Target(getattr(found, "path", found), program, *args, **more)
        started.append(target)
        return target

    yield run
    for target in started:
        target.close()


def pytest_report_header(config):
    return ["tool: " + PYLEAK, "interpreters: " + ", ".join(interpreters.name(found) for found in ALL)]


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
