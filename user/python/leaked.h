/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which objects came after a first look at the heap and stay: of the types of which there are more and more. Blocks of pymalloc only. */
#ifndef LEAKED_H
#define LEAKED_H

#include <stddef.h>
#include <stdint.h>

struct py_interp;
struct leaked; /* opaque */

/* PY must outlive it. NULL: out of memory. */
struct leaked *leaked__new(const struct py_interp *py);
void leaked__free(struct leaked *l);

/* Another look; at least three are needed. As heap__read(). */
int leaked__look(struct leaked *l);

struct leaked_type {
	uint64_t type;   /* address */
	int64_t objects; /* that are new since the first look, and were there at the one before the last */
	int64_t bytes;
};
/* Types that gained at each look, most bytes first; at most MAX. */
size_t leaked__types(const struct leaked *l, struct leaked_type *out, size_t max);
/* The blocks with these objects, in ascending order; owned by the caller. 0 or -ENOMEM. */
int leaked__blocks(const struct leaked *l, uint64_t type, uint64_t **out, size_t *cnt);

#endif
