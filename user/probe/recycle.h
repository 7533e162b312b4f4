/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPython hands out dead dicts, their key tables, lists, tuples and floats again without its allocator: a new object in an old block. To book it where
 * it was made, the places are found where the interpreter looks whether its free list has one: a load of the list's count or
 * head, a test of it, a conditional jump. The jump is probed, as the kernel emulates it.
 */
#ifndef RECYCLE_H
#define RECYCLE_H

#include <stddef.h>
#include <stdint.h>

struct py_freelists;
struct py_interp;

/* At most RECYCLE_MAX of shared.h. */
struct recycle_point {
	uint64_t addr;
	uint64_t cookie; /* RECYCLE_COOKIE of shared.h */
};

/* Pure: TEXT in, at most MAX points out; returns how many. Gives up after some thousand places that only look like one. */
size_t recycle__find(const void *text, size_t size, uint64_t addr, const struct py_freelists *lists, struct recycle_point *out,
		     size_t max);

/* In all of the interpreter's text. */
size_t recycle__find_all(const struct py_interp *py, struct recycle_point *out, size_t max);

#endif
