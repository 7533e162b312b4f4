// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "object.h"
#include "python.h"
#include "type.h"

enum {
	HEADER_BYTES = 16, /* PyObject: ob_refcnt, ob_type */
	HEADS_MAX_BYTES = 32,
};

/*
 * No count is as high as the lowest address of a program. In a static non-PIE interpreter types and the brk heap are
 * at addresses that would else pass for a count, and a list of types for an object.
 */
#define REFCNT_MAX 0x400000
/* _Py_IsImmortal(), 3.12+: the lower half is negative. */
#define IMMORTAL_MIN 0x80000000UL
#define IMMORTAL_MAX 0xffffffffUL

static bool is_refcnt(const struct py_interp *py, uint64_t refcnt)
{
	if (refcnt > 0 && refcnt < REFCNT_MAX)
		return true;
	return py->minor >= 12 && refcnt >= IMMORTAL_MIN && refcnt <= IMMORTAL_MAX;
}

/* PyGC_Head._gc_next: 0 or an address, whose lowest bit the collector borrows. */
static bool is_gc_next(uint64_t next)
{
	next &= ~1UL;
	return !next || (next >= 4096 && next < 1UL << 47 && !(next & 7));
}

static uint32_t heads_bytes(const struct py_interp *py, const struct type_info *t)
{
	uint32_t bytes = t->flags & TYPE_GC ? 16 : 0;

	return t->flags & py->layout->preheader_flags ? bytes + py->layout->preheader_bytes : bytes;
}

/*
 * Types written in C may allocate less than tp_basicsize: compact strings, a datetime without a time zone
 * (Modules/_datetimemodule.c). Classes of Python never do.
 */
static uint64_t smallest_instance(const struct py_interp *py, const struct type_info *t)
{
	if (t->addr == py->types.str)
		return py->layout->str_ascii_size + 1;
	return t->flags & TYPE_HEAP ? (uint64_t)t->basicsize : HEADER_BYTES;
}

static bool is_object_at(const struct py_interp *py, const uint64_t *words, uint32_t off, uint64_t size, uint64_t *type)
{
	const uint64_t *header = words + off / 8;
	struct type_info t;

	if (!is_refcnt(py, header[0]) || type_info__read(py, header[1], &t))
		return false;
	if (heads_bytes(py, &t) != off || off + smallest_instance(py, &t) > size)
		return false;
	if (t.flags & TYPE_GC && !is_gc_next(header[-2]))
		return false;
	*type = t.addr;
	return true;
}

int py_block__object(const struct py_interp *py, uint64_t addr, uint64_t size, const void *first, size_t first_size,
		     uint64_t *type, uint32_t *object_off)
{
	uint64_t words[(HEADS_MAX_BYTES + HEADER_BYTES) / 8] = { 0 };
	size_t wanted = size < sizeof(words) ? size : sizeof(words);
	int err;

	if (first && first_size >= wanted) {
		memcpy(words, first, wanted);
	} else {
		err = remote__read(&py->mem, addr, words, wanted);
		if (err)
			return err;
	}
	for (uint32_t off = 0; off <= HEADS_MAX_BYTES && off + HEADER_BYTES <= wanted; off += 16) {
		if (!is_object_at(py, words, off, size, type))
			continue;
		*object_off = off;
		return 0;
	}
	return -ENOENT;
}
