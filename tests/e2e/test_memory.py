# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A million live blocks: what the tracer itself and its maps take, and that a full map loses nothing silently."""
import os

import pytest

from memory import bpf_map_bytes, status_kb, tracer_pids
from process import CORPUS, Tracer, lossless


@pytest.mark.xdist_group("timing")
def test_a_million_blocks(debian, bpf, start):
    target = start(debian, os.path.join(CORPUS, "leaks", "comprehension.py"))
    tracer = Tracer.json(target)
    target.command("round 110000", timeout=300)
    snapshot = tracer.fresh()
    assert snapshot["outstanding"]["objects"] >= 880000 * 1.1
    lossless(snapshot)
    resident = sum(status_kb(pid, "VmRSS") for pid in tracer_pids(tracer.pid)) * 1024
    maps = sum(bpf_map_bytes(pid) for pid in tracer_pids(tracer.pid))
    print("tracer %d bytes, maps %d bytes, %.1f per block" % (resident, maps, maps / snapshot["outstanding"]["objects"]))
    assert resident < 64 << 20
    assert maps < 200 * snapshot["outstanding"]["objects"]
    final = tracer.stop()
    rows = [row for row in final["growers"] if row["type"] == "__main__.Row"]
    assert rows and rows[0]["objects"] == 880000
