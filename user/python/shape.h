/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * By what an object is told from other bytes: the rule of py_block__object() and of whatever looks at so many blocks that it
 * keeps what it knows of their types.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "python.h"
#include "type.h"

enum {
	OBJECT_HEADER_BYTES = 16, /* PyObject: ob_refcnt, ob_type */
	OBJECT_HEADS_MAX_BYTES = 32,
};

/*
 * No count is as high as the lowest address of a program. In a static non-PIE interpreter types and the brk heap are
 * at addresses that would else pass for a count, and a list of types for an object.
 */
#define SHAPE_REFCNT_MAX 0x400000

/* What a type says of the blocks that its instances are in. */
struct type_shape {
	uint32_t heads_bytes; /* before the PyObject header */
	uint32_t least_bytes; /* from there on */
	bool gc;
};

static inline bool shape__is_refcnt(const struct py_interp *py, uint64_t refcnt)
{
	refcnt &= py->layout->refcnt_mask;
	if (refcnt > 0 && refcnt < SHAPE_REFCNT_MAX)
		return true;
	/* _Py_IsImmortal(), 3.12+: the lower half is negative. */
	return py->major == 3 && py->minor >= 12 && refcnt >= 0x80000000UL && refcnt <= 0xffffffffUL;
}

/*
 * PyGC_Head._gc_next: 0 or an address, whose lowest bit the collector borrows. The last one's leads to the generation, which later
 * patch versions of 3.13 align to 4 only.
 */
static inline bool shape__is_gc_next(uint64_t next)
{
	next &= ~1UL;
	return !next || (next >= 4096 && next < 1UL << 47 && !(next & 3));
}

/*
 * To 3.7 the third word is gc_refs, a small number with a sign (3.6 and 3.7: shifted by one); the links of what is not tracked are
 * not set.
 */
static inline bool shape__is_gc_head(const struct py_interp *py, const uint64_t *header)
{
	const uint64_t *head = header - py->gc_head_bytes / 8;
	int64_t refs;

	/* _gc_prev has no more than an address, or gc_refs, and two flags. A block that libc keeps for the next malloc (glibc's tcache) has a random key there. */
	if (py->gc_head_bytes == 16)
		return shape__is_gc_next(head[0]) && !(head[1] >> 47);
	refs = head[2];
	return refs >= -8 && refs < 2 * SHAPE_REFCNT_MAX;
}

/*
 * Types written in C may allocate less than tp_basicsize: compact strings, a datetime without a time zone
 * (Modules/_datetimemodule.c). Classes of Python never do.
 */
static inline uint32_t shape__least_bytes(const struct py_interp *py, const struct type_info *t)
{
	if (t->addr == py->types.str)
		return py->layout->str_ascii_size + 1;
	return t->flags & TYPE_HEAP ? t->basicsize : OBJECT_HEADER_BYTES;
}

static inline struct type_shape type_shape__of(const struct py_interp *py, const struct type_info *t)
{
	struct type_shape s = { .least_bytes = shape__least_bytes(py, t), .gc = t->flags & TYPE_GC };

	if (s.gc)
		s.heads_bytes = py->gc_head_bytes;
	if (t->flags & py->layout->preheader_flags)
		s.heads_bytes += py->layout->preheader_bytes;
	return s;
}

/* Is what begins OFF bytes into the block WORDS of SIZE bytes one of these? */
static inline bool type_shape__fits(const struct py_interp *py, const struct type_shape *s, const uint64_t *words, uint32_t off,
				    uint64_t size)
{
	if (s->heads_bytes != off || (uint64_t)off + s->least_bytes > size)
		return false;
	return !s->gc || shape__is_gc_head(py, words + off / 8);
}

#endif
