# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The module of sub-interpreters, whichever name it has, for programs that make some."""
import sys

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    run = interpreters.exec
else:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string


def create(isolated):
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if isolated else "legacy")
    return interpreters.create(isolated=isolated)
