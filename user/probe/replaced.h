/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Are the objects of a type replaced by others all the time, at the same addresses? From outside the heap looks the same then, and a level that
 * wanders looks like growth. Told by their content, so of types only whose objects never change.
 */
#ifndef REPLACED_H
#define REPLACED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;
struct py_interp;

#define REPLACED_BLOCKS 8

/* All 0 at first. */
struct replaced {
	uint64_t blocks[REPLACED_BLOCKS], contents[REPLACED_BLOCKS];
	uint32_t cnt;
	double looked, changed; /* sums; what was long ago counts less */
};

/* int, float, complex, str, bytes, tuple; not their subclasses. */
bool replaced__is_constant(const struct py_interp *py, uint64_t type);
/*
 * Looks at the blocks that were given the last time, then remembers these (REPLACED_BLOCKS at most, of live objects of this type) for the next time, some
 * seconds later. Have most of those been replaced? Until that is known: yes.
 */
bool replaced__ask(struct replaced *r, const struct py_interp *py, const struct heap *heap, uint64_t type, const uint64_t *blocks, size_t cnt);

#endif
