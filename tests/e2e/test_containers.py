# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Targets and tracers in other namespaces and roots, binaries that are gone: the same exact numbers, or a clear refusal."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

import interpreters
import roots
from process import CORPUS, PATIENCE, PYLEAK, Child, Tracer, lossless
from roots import WrappedTarget, children

LEAK = os.path.join(CORPUS, "leaks", "bytes_kept.py")
PRIVATE = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]

# overlay.sh HIDE DIR FILE CMD...: FILE below an overlay, DIR/merged; with HIDE its lower layer cannot be reached by name any more
OVERLAY = """
set -e
hide=$1 d=$2 file=$3
shift 3
mount --make-rprivate /
mount -t tmpfs tmpfs "$d"
mkdir "$d/low" "$d/upper" "$d/merged"
mount -t tmpfs tmpfs "$d/low"
mount -t tmpfs tmpfs "$d/upper"
mkdir "$d/upper/u" "$d/upper/w"
cp "$file" "$d/low/"
mount -t overlay overlay -o "lowerdir=$d/low,upperdir=$d/upper/u,workdir=$d/upper/w" "$d/merged"
[ "$hide" = no ] || umount -l "$d/low"
exec "$@"
"""


@pytest.fixture
def namespaces(bpf):
    """The tool, where namespaces can be made."""
    if subprocess.run(PRIVATE + ["true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no namespaces can be made here")
    return bpf


@pytest.fixture
def wrapped(request):
    """wrapped(wrapper, python, program): a WrappedTarget that is ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **more: stack.enter_context(contextlib.closing(WrappedTarget(*args, **more)))


@pytest.fixture
def python(debian):
    return os.path.realpath(debian.path)


@pytest.fixture
def shared():
    """An interpreter that is a libpython, and that libpython."""
    for found in interpreters.find():
        if found.shared and not found.missing and not found.root:
            lib = glob.glob(os.path.join(os.path.dirname(os.path.dirname(found.path)), "lib", "libpython3.*.so.1.0"))
            if lib:
                return found.path, lib[0]
    pytest.skip("no interpreter with a shared library")


def exactly_500(snapshot, program):
    lossless(snapshot)
    rows = [row for row in snapshot["growers"] if row["type"] == "bytes" and row["stack"][0]["file"] == program]
    assert [row["objects"] for row in rows] == [500], snapshot["growers"][:3]


def check_exact(target, *options):
    """500 objects leaked are 500 objects seen; returns the last snapshot."""
    tracer = Tracer.json(target, "-n", 30, *options)
    target.command("round 500")
    tracer.fresh()
    final = tracer.stop()
    exactly_500(final, target.program)
    assert final["processes"][0]["pid"] == target.pid
    return final


def check_exact_from(wrapper, pid, target):
    """The same by a tracer that WRAPPER starts, to which the target is PID. It ends by itself: signals stay with the wrapper."""
    tracer = Tracer("--json", "-i", 1, "-d", 4, "-n", 30, "-p", pid, argv0=wrapper + [PYLEAK])
    with tracer:
        tracer.attached()
        target.command("round 500")
        final = tracer.finish()
    exactly_500(final, target.program)
    assert final["processes"][0]["pid"] == pid
    target.check_alive()


def refused(*argv, status=3):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (status, b""), (done.returncode, text)
    assert text.startswith("pyleak-bpf: "), text
    return text


# -- where the target is -------------------------------------------------------------------------------------------

def test_another_root_and_pid_namespace(namespaces, debian, wrapped):
    """All of this machine's files, below an overlay of their own, as pid 1."""
    target = wrapped(roots.in_root("/"), debian.path, LEAK)
    with open("/proc/%d/status" % target.pid, encoding="utf-8") as file:
        assert re.search(r"NSpid:\t%d\t1\n" % target.pid, file.read())
    check_exact(target)


def test_user_namespace(namespaces, debian, wrapped):
    target = wrapped(["unshare", "--user", "--map-root-user"] + PRIVATE[1:], debian.path, LEAK)
    check_exact(target)


def test_bind_mount(namespaces, python, wrapped, tmp_path):
    """The interpreter has a path that, outside, is another file."""
    place = tmp_path / "python3"
    place.write_text("no program\n")
    target = wrapped(PRIVATE + ["sh", "-c", 'mount --make-rprivate / && mount --bind "$0" "$1" && shift && exec "$@"', python,
                                str(place)], str(place), LEAK)
    final = check_exact(target)
    assert final["processes"][0]["exe"] == str(place)
    assert place.read_text() == "no program\n"


def test_deleted_binary(namespaces, python, start, tmp_path):
    copy = shutil.copy(python, str(tmp_path / "python3"))
    target = start(copy, LEAK)
    os.unlink(copy)
    final = check_exact(target)
    assert final["processes"][0]["exe"] == copy


@pytest.mark.parametrize("by", ["another build", "the same build"])
def test_replaced_binary(namespaces, python, start, tmp_path, by):
    """As an upgrade does it: the path now leads to another file. The one that is mapped is meant."""
    copy = shutil.copy(python, str(tmp_path / "python3"))
    target = start(copy, LEAK)
    new = shutil.copy(python if by == "the same build" else "/bin/sh", str(tmp_path / "new"))
    os.rename(new, copy)
    check_exact(target)


def test_deleted_binary_with_few_capabilities(namespaces, python, start, tmp_path):
    """Without CAP_SYS_ADMIN and CAP_CHECKPOINT_RESTORE there is no map_files."""
    few = ["setpriv", "--bounding-set=-all,+bpf,+perfmon,+sys_ptrace", "--inh-caps=-all"]
    if subprocess.run(few + ["true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("setpriv cannot limit capabilities here")
    copy = shutil.copy(python, str(tmp_path / "python3"))
    target = start(copy, LEAK)
    os.unlink(copy)
    check_exact_from(few, target.pid, target)


PATCH = """
import ctypes, sys
libc = ctypes.CDLL(None)
nops = [bytes.fromhex(text) for text in ("662e0f1f", "0f1f8400", "0f1f8000")]
def padding(name):
    at = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    code = ctypes.string_at(at, 64)
    return [at + i for i in range(60) if code[i:i + 4] in nops]
at = [at for name in ("PyMem_RawMalloc", "PyMem_Malloc", "PyMem_Free", "PyObject_Malloc", "PyObject_Free") for at in padding(name)][0]
assert libc.mprotect(ctypes.c_void_p(at & -4096), ctypes.c_size_t(8192), 7) == 0
ctypes.memset(ctypes.c_void_p(at), 0, 1)
print("patched", flush=True)
sys.stdin.read()
"""


def test_patched_code(bpf, debian):
    """As hooking libraries leave it. Here only padding, which nobody executes, is changed."""
    with Child([debian.path, "-c", PATCH]) as child:
        assert child.out.wait_for(lambda line: line == "patched")
        text = refused(bpf, "-p", str(child.pid))
        assert "patched" in text, text
        assert child.alive()


def test_replaced_library(namespaces, shared, start, tmp_path):
    path, lib = shared
    copy = shutil.copy(lib, str(tmp_path))
    target = start(path, LEAK, env={"LD_LIBRARY_PATH": str(tmp_path)})
    with open("/proc/%d/maps" % target.pid, encoding="utf-8") as file:
        assert copy in file.read()
    new = shutil.copy("/bin/sh", str(tmp_path / "new"))
    os.rename(new, copy)
    check_exact(target)


# -- overlays ------------------------------------------------------------------------------------------------------

def in_overlay(wrapped, tmp_path, source, python=None, hide="no", **more):
    """A target that runs SOURCE, or PYTHON that loads it, from an overlay; and the path of SOURCE there."""
    merged = os.path.join(str(tmp_path), "merged", os.path.basename(source))
    wrapper = PRIVATE + ["sh", "-c", OVERLAY, "sh", hide, str(tmp_path), source]
    return wrapped(wrapper, python or merged, LEAK, **more), merged


def inside(target, *argv):
    subprocess.run(["nsenter", "-t", str(target.pid), "-m"] + list(argv), check=True, timeout=PATIENCE)


@pytest.mark.parametrize("hide", ["no", "yes"])
def test_overlay(namespaces, python, wrapped, tmp_path, hide):
    target, _ = in_overlay(wrapped, tmp_path, python, hide=hide)
    check_exact(target)


@pytest.mark.parametrize("change", ["touch", "touch and replace", "delete"])
def test_overlay_is_changed(namespaces, python, wrapped, tmp_path, change):
    """The path leads to a copy, or nowhere; what is mapped is the file in the lower layer."""
    target, merged = in_overlay(wrapped, tmp_path, python)
    inside(target, *(["rm", merged] if change == "delete" else ["touch", merged]))
    if change == "touch and replace":
        inside(target, "cp", "/bin/sh", merged + ".new")
        inside(target, "mv", merged + ".new", merged)
    check_exact(target)


def test_overlay_is_changed_and_out_of_reach(namespaces, python, wrapped, tmp_path):
    target, merged = in_overlay(wrapped, tmp_path, python, hide="yes")
    inside(target, "touch", merged)
    text = refused(namespaces, "-p", str(target.pid))
    assert merged in text and "copied up" in text, text
    target.check_alive()


def test_overlay_is_overwritten(namespaces, shared, wrapped, tmp_path):
    """Other bytes in a library that is in use: nothing may be placed by them."""
    path, lib = shared
    target, merged = in_overlay(wrapped, tmp_path, lib, python=path, env={"LD_LIBRARY_PATH": str(tmp_path / "merged")})
    listed = subprocess.run(["nm", "-D", lib], stdout=subprocess.PIPE, check=True).stdout.decode()
    at = int(re.search(r"^([0-9a-f]+) T PyObject_Malloc$", listed, re.M).group(1), 16)
    # the text of a shared library is where its addresses say
    inside(target, "/usr/bin/python3", "-c", "import sys; f = open(sys.argv[1], 'r+b'); f.seek(int(sys.argv[2])); f.write(b'\\xc3')",
           merged, str(at + 1))
    text = refused(namespaces, "-p", str(target.pid))
    assert "overwritten" in text and merged in text, text
    target.check_alive()


# -- where the tracer is -------------------------------------------------------------------------------------------

def test_tracer_in_a_pid_namespace(namespaces, debian, wrapped):
    target = wrapped(PRIVATE + ["--mount-proc"], debian.path, LEAK)
    check_exact_from(["nsenter", "-t", str(target.pid), "-m", "-p"], 1, target)
    done = subprocess.run(["nsenter", "-t", str(target.pid), "-m", "-p", PYLEAK, "doctor", "-p", "1"], stdout=subprocess.PIPE,
                          timeout=PATIENCE)
    assert done.returncode == 0 and re.search(rb"note pid namespace +a container's", done.stdout), done.stdout


def test_tracer_in_a_pid_namespace_around_the_target_s(namespaces, debian, wrapped):
    target = wrapped(PRIVATE + ["--mount-proc", "unshare", "--pid", "--fork", "--kill-child"], debian.path, LEAK)
    outer = children(target.wrapper_pid)[0]
    check_exact_from(["nsenter", "-t", str(outer), "-m", "-p"], 2, target)


def test_run_in_a_pid_namespace(namespaces, debian):
    done = subprocess.run(PRIVATE + ["--mount-proc", namespaces, "run", "--json", "--", debian.path, "-c",
                                     "kept = [bytes(333) for _ in range(500)]"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    final = json.loads(done.stdout.splitlines()[-1])
    rows = [row for row in final["growers"] if row["type"] == "bytes" and row["stack"] and row["stack"][0]["file"] == "<string>"]
    assert [row["objects"] for row in rows] == [500], final["growers"][:3]


def test_proc_of_another_pid_namespace(namespaces, debian, start):
    target = start(debian, LEAK)
    for argv in (["-p", str(target.pid)], ["run", "--", debian.path, "-c", "0"]):
        text = refused("unshare", "--pid", "--fork", namespaces, *argv)
        assert "pid namespace" in text and "mount" in text, text
    target.check_alive()


def test_no_sysfs(namespaces, debian, start):
    target = start(debian, LEAK)
    text = refused("unshare", "--mount", "sh", "-c", 'umount -R -l /sys && exec "$@"', "sh", namespaces, "-p", str(target.pid))
    assert "/sys/kernel/btf/vmlinux" in text, text
    target.check_alive()


# -- which container ------------------------------------------------------------------------------------------------

ID = "3f4e1c0a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f"
ID2 = ID[::-1]
UID = "8f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f"
POD = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%s.slice/cri-containerd-%s.scope" % (UID.replace("-", "_"), ID)


def cgroup_mounts():
    """v2 first; else v1's hierarchy of systemd, which limits nothing."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            mount, _, rest = line.partition(" - ")
            kind, _, options = rest.split(" ", 2)
            if kind == "cgroup2":
                found.insert(0, mount.split()[4])
            elif kind == "cgroup" and "name=systemd" in options:
                found.append(mount.split()[4])
    return found


@pytest.fixture
def cgroup():
    """cgroup(path): makes it below a cgroup of this test's own; returns its directory."""
    made = []
    mounts = [place for place in cgroup_mounts() if os.access(place, os.W_OK)]
    if not mounts:
        pytest.skip("no cgroup file system to write to")
    top = os.path.join(mounts[0], "pyleak-test-%d" % os.getpid())

    def make(path):
        place = top
        for part in [""] + path.split("/"):
            place = os.path.join(place, part).rstrip("/")
            if not os.path.isdir(place):
                os.mkdir(place)
                made.append(place)
        return place

    try:
        make("")
    except OSError as error:
        pytest.skip("no cgroup can be made: %s" % error)
    yield make
    for place in reversed(made):
        with open(os.path.join(place, "cgroup.procs"), encoding="ascii") as file:
            for pid in file.read().split():
                move(int(pid), mounts[0])
        os.rmdir(place)


def move(pid, place):
    with open(os.path.join(place, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write(str(pid))


@pytest.mark.parametrize("path,container,runtime,pod", [
    ("docker/" + ID, ID, "docker", None),
    ("system.slice/docker-%s.scope" % ID, ID, "docker", None),
    (POD, ID, "containerd", UID),
    ("lxc.payload.web-1/system.slice/app.service", "web-1", "lxc", None),
    ("user.slice/app.service", None, None, None),
], ids=["docker", "docker by systemd", "pod", "lxc", "none"])
def test_container_is_named(bpf, debian, start, cgroup, path, container, runtime, pod):
    target = start(debian, LEAK)
    move(target.pid, cgroup(path))
    snapshot = check_exact(target)["processes"][0]
    assert (snapshot["container"], snapshot["container_runtime"], snapshot["pod_uid"]) == (container, runtime, pod)
    tracer = Tracer("-i", 1, "-d", 1, target=target)
    tracer.attached()
    assert tracer.wait() == 0
    text = tracer.out.text()
    if not container:
        assert "container" not in text
    else:
        expected = "  in %s container %s%s\n" % (runtime, ID[:12] if container == ID else container, " of pod " + pod if pod else "")
        assert expected in text, text


def test_container_from_a_cgroup_namespace(namespaces, debian, start, cgroup):
    """From inside one, the paths of others begin with dots."""
    target = start(debian, LEAK)
    move(target.pid, cgroup("docker/" + ID))
    own = cgroup("docker/" + ID2)
    # two levels down, so that what is left of the target's path has its own name only
    tracer = Tracer("--json", "-i", 1, "-d", 1, "-p", target.pid,
                    argv0=["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare --cgroup "$@"', own, PYLEAK])
    with tracer:
        final = tracer.finish()
    assert final["processes"][0]["container"] == ID
    target.check_alive()


def test_rows_by_container(bpf, debian, start, cgroup):
    targets = [start(debian, LEAK) for _ in range(3)]
    for target, name in zip(targets, (ID, ID, ID2)):
        move(target.pid, cgroup("docker/" + name))
    tracer = Tracer("--json", "-i", 1, "--group-by", "container", "-p", ",".join(str(target.pid) for target in targets))
    with tracer:
        for _ in targets:
            tracer.attached()
        for target in targets:
            target.command("round 500")
        tracer.fresh()
        final = tracer.stop()
    of = {process["pid"]: process["container"] for process in final["processes"]}
    assert final["group_by"] == "container"
    rows = {of[row["pid"]]: row for row in final["growers"]}
    assert len(final["growers"]) == 2 and set(rows) == {ID, ID2}, final["growers"]
    assert rows[ID]["objects"] >= 1000 and 500 <= rows[ID2]["objects"] < 600
    for target in targets:
        target.check_alive()


def test_schema_has_the_container(tool):
    rules = json.loads(subprocess.run([tool, "--json-schema"], stdout=subprocess.PIPE, check=True).stdout)
    process = rules["properties"]["processes"]["items"]["properties"]
    for name in ("container", "container_runtime", "pod_uid"):
        assert process[name]["type"] == ["string", "null"]
