# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Replaces itself by another run of itself when told "exec"."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

KEEP = []
SIZE = 500


def leak():
    KEEP.append(bytes(SIZE))


def become():
    os.execv(sys.executable, [sys.executable, "-B", os.path.abspath(__file__)])


harness.serve(leak, KEEP.clear, commands={"exec": become})
