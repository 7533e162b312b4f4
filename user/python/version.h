/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which CPython a module is. */
#ifndef VERSION_H
#define VERSION_H

#include <stddef.h>

#include "python.h"
#include "reason.h"

struct py_version {
	int major, minor, patch;
	char text[32]; /* "3.11.2", "3.13.0rc1+" */
};

/* PY_VERSION_HEX as in patchlevel.h. */
void version__from_hex(unsigned long hex, struct py_version *out);
/*
 * Pure: finds what Py_GetVersion() (Python/getversion.c) has left, "3.8.18 (default, May  9 2026, 00:00:00) \n[GCC 12.2.0]".
 * 0 or -ENOENT.
 */
int version__from_text(const char *bytes, size_t size, struct py_version *out);

/*
 * Fills major, minor, patch, version, debug and free_threaded of PY, whose module must be known. -EAGAIN: it does not know
 * its version yet; -EOPNOTSUPP: sources contradict each other.
 */
int version__detect(struct py_interp *py, const struct reason *why);

#endif
