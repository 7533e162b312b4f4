# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Grows by exactly 64 KiB of memory a round: pages of its own, touched, that no huge page fills ahead of time."""
import mmap
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "corpus"))
import harness  # noqa: E402

SIZE = 64 << 10
CONTENT = b"\1" * SIZE
KEPT = []


def grow():
    piece = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    piece.madvise(mmap.MADV_NOHUGEPAGE)
    piece[:] = CONTENT
    KEPT.append(piece)


def drop():
    for piece in KEPT:
        piece.close()
    del KEPT[:]


harness.serve(grow, drop)
