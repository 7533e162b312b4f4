# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Imported by stacks.py again and again: allocates while it is being imported."""
import __main__ as main

main.KEEP.append(main.T.imported()); main.here("imported")
