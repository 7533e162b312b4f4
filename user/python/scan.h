/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is this process a CPython? Asked of hundreds: its mappings are read once, and each file that is mapped executable is opened once
 * for all processes that share it. Names of files are no evidence.
 */
#ifndef SCAN_H
#define SCAN_H

#include <stddef.h>
#include <sys/types.h>

struct py_scan; /* opaque: what is known of files */

struct py_scan *py_scan__new(void);
void py_scan__free(struct py_scan *s);

/*
 * 1: a CPython with a _PyRuntime (3.7 and later) is mapped, whether or not this build can be traced: py_interp__open tells. 0: none.
 * -ESRCH, -EPERM, -EAGAIN (in the middle of exec), -ENOMEM.
 */
int py_scan__is_python(struct py_scan *s, pid_t pid);

/* How many files were opened so far. */
size_t py_scan__files(const struct py_scan *s);

#endif
