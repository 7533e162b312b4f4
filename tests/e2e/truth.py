# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a corpus program says of itself, read without running it, and the check of a report against it."""
import ast
import glob
import os
import sys

from process import CORPUS

sys.path.insert(0, CORPUS)
import harness  # noqa: E402


class Truth:
    """TRUTH of one program, resolved for one CPython version."""

    def __init__(self, path, version):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        self.path = path
        self.raw = None
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "TRUTH":
                self.raw = ast.literal_eval(node.value)
        assert self.raw, path + " has no TRUTH"

        def get(key, default=None):
            value = harness.resolve(self.raw.get(key, default), version)
            return default if value is None else value

        since = tuple(int(part) for part in self.raw.get("since", "2.7").split("."))
        self.runs = tuple(version[:2]) >= since
        if not self.runs:
            return
        self.kind = get("kind")
        self.healthy = get("healthy", False)
        self.seconds = get("seconds", 8 if self.healthy else 6)
        self.rate = get("rate", 50)
        self.silent = get("silent", "always")
        self.settles = get("settles")
        self.free = get("free", True)
        self.at_once = get("at_once")
        if self.healthy:
            return
        self.file = get("file", path)
        self.function = get("function")
        self.types = get("types")
        self.holder = get("holder")  # a kind of root, or what the way to it must have in it
        self.objects = harness.resolve(self.raw["per_round"].get("objects"), version)
        self.slack = self.raw["per_round"].get("slack", 0)
        self.bytes = harness.resolve(self.raw["per_round"].get("bytes"), version)
        marker = get("line_marker")
        self.line = get("line") or self._marked(text, marker)

    def _marked(self, text, marker):
        lines = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("  " + marker)]
        assert len(lines) == 1, "%s: %d lines end with %r" % (self.path, len(lines), marker)
        return lines[0]

    def fits(self, row):
        """Whether a grower is the leak this program is about."""
        inner = row["stack"][0] if row["stack"] else {}
        return (inner.get("file") == self.file and inner.get("line") == self.line and row["type"] in self.types
                and inner.get("function") == self.function)

    def check_first(self, snapshot):
        assert snapshot["growers"], "no grower at all"
        first = snapshot["growers"][0]
        inner = first["stack"][0] if first["stack"] else {}
        assert first["rank"] == 1
        assert (inner.get("file"), inner.get("line"), first["type"], inner.get("function")) == \
            (self.file, self.line, first["type"] if first["type"] in self.types else self.types, self.function), \
            brief(snapshot)
        return first

    def check_amount(self, snapshot, rounds):
        """Exact equality of what is outstanding of the first type, where the program can know it."""
        rows = [row for row in snapshot["growers"] if self.fits(row) and row["type"] == self.types[0]]
        objects = sum(row["objects"] for row in rows)
        size = sum(row["bytes"] for row in rows)
        if self.objects is not None:
            assert 0 <= objects - self.objects * rounds <= self.slack, "%d objects after %d rounds of %d: %s" % (
                objects, rounds, self.objects, brief(snapshot))
        if self.bytes is not None:
            # what was asked for, or that rounded up to what the allocator gives
            most = (self.bytes + 16) * rounds + self.slack * 512
            assert self.bytes * rounds <= size <= most, brief(snapshot)


def brief(snapshot):
    """The growers, a line each, for the message of a failed test."""
    rows = []
    for row in snapshot["growers"][:6]:
        where = " < ".join("%s:%s(%s)" % (os.path.basename(str(frame["file"])), frame["line"], frame["function"])
                           for frame in row["stack"][:3])
        rows.append("#%s %s %s bytes %s objects (%+d/%+d) %s  %s" % (
            row["rank"], row["type"], row["bytes"], row["objects"], row["delta_bytes"], row["delta_objects"],
            row["verdict"], where))
    return "\n".join(["elapsed %s final %s" % (snapshot["elapsed_s"], snapshot["final"])] + rows)


def programs(kind):
    return sorted(glob.glob(os.path.join(CORPUS, kind, "*.py")))
