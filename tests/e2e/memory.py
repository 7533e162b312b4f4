# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What must be in a target after the tracer as it was before: its code, and what is mapped executable."""
import hashlib
import os
import re
import time


def code(pid):
    """{mapping: digest} of the executable pages. The kernel's own pages are left out: it keeps its slots for uprobes."""
    found = {}
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for line in maps:
            fields = line.split(None, 5)
            name = fields[5].strip() if len(fields) > 5 else ""
            if "x" not in fields[1] or name.startswith("["):
                continue
            start, end = (int(part, 16) for part in fields[0].split("-"))
            digest = hashlib.sha256()
            mem.seek(start)
            left = end - start
            while left:
                part = mem.read(min(left, 1 << 20))
                assert part, "cannot read %s of %d" % (name, pid)
                digest.update(part)
                left -= len(part)
            found["%s %s %s" % (fields[0], fields[1], name)] = digest.hexdigest()
    assert found
    return found


def becomes(read, expected, timeout=10):
    """Waits until READ() is EXPECTED; the last value. The kernel takes probes out when it closes their files."""
    deadline = time.monotonic() + timeout
    while True:
        value = read()
        if value == expected or time.monotonic() > deadline:
            return value
        time.sleep(0.02)


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def status_kb(pid, field):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"^%s:\s+(\d+) kB" % field, status.read(), re.M).group(1))


def bpf_map_bytes(pid):
    """The kernel memory of the BPF maps that PID holds open, by the kernel's own account; each map once."""
    maps = {}
    folder = "/proc/%d/fdinfo" % pid
    for name in os.listdir(folder):
        try:
            with open(os.path.join(folder, name)) as info:
                text = info.read()
        except OSError:
            continue
        number = re.search(r"^map_id:\s+(\d+)", text, re.M)
        size = re.search(r"^memlock:\s+(\d+)", text, re.M)
        if number and size:
            maps[number.group(1)] = int(size.group(1))
    return sum(maps.values())


def tracer_pids(pid):
    """PID and its children: the tool may run helpers."""
    found = [pid]
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found
