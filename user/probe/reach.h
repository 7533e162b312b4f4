/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does a probe set through a path arrive in the memory of the process? Not always: when a file below an overlay is copied up (chmod,
 * touch, writing in a container), the path leads to the copy while the process goes on running the original (uprobes take
 * d_real_inode of the path), and nothing in /proc tells the two apart. So it is tried.
 */
#ifndef REACH_H
#define REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct py_interp;

/* The instruction at a runtime address is not what the file has there: a probe (ours or another's) is in place. */
bool reach__has_probe(const struct py_interp *py, uint64_t addr);

/*
 * The code at a runtime address is what the file has there, but for probes. The kernel executes the file's instruction in place of the one
 * under a probe: where something else has patched the code, a probe would do harm.
 */
bool reach__is_unchanged(const struct py_interp *py, uint64_t addr);

/*
 * Where the interpreter's file is on an overlay: makes open_path one through which probes arrive, looking through the layers if it
 * must. -ESTALE: there is none; -EINVAL (on any file system): the file's code is not the code in memory. WHY gets a sentence.
 */
int reach__find_path(struct py_interp *py, char *why, size_t why_size);

#endif
