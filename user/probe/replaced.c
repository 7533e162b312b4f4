// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "heap.h"
#include "object.h"
#include "python.h"
#include "remote.h"
#include "replaced.h"
#include "type.h"

#define CONTENT_BYTES 64
#define KEPT 0.8    /* of the sums, each time */
#define LOOKED_MIN 8

#define CONSTANTS (TYPE_LONG_SUBCLASS | TYPE_TUPLE_SUBCLASS | TYPE_STRING_SUBCLASS | TYPE_STR_SUBCLASS)

static bool is_named(const struct py_interp *py, const struct type_info *t, const char *name)
{
	char got[16] = "";

	return !remote__read(&py->mem, t->name, got, strlen(name) + 1) && !strcmp(got, name);
}

bool replaced__is_constant(const struct py_interp *py, uint64_t type)
{
	struct type_info t;

	if (!type || type_info__read(py, type, &t) || t.flags & TYPE_HEAP)
		return false;
	return t.flags & CONSTANTS || is_named(py, &t, "float") || is_named(py, &t, "complex");
}

/* 0: it cannot be read, or it is another type's. */
static uint64_t content_of(const struct py_interp *py, const struct heap *heap, uint64_t type, uint64_t addr)
{
	unsigned char bytes[CONTENT_BYTES];
	struct heap_block b;
	size_t size;

	if (!heap__find(heap, addr, &b) || b.type != type)
		return 0;
	size = b.bytes < CONTENT_BYTES ? b.bytes : CONTENT_BYTES;
	return remote__read(&py->mem, addr, bytes, size) ? 0 : py_block__content(py, addr, b.bytes, bytes, size, type);
}

bool replaced__ask(struct replaced *r, const struct py_interp *py, const struct heap *heap, uint64_t type, const uint64_t *blocks, size_t cnt)
{
	r->looked *= KEPT;
	r->changed *= KEPT;
	for (uint32_t i = 0; i < r->cnt; i++)
		r->changed += content_of(py, heap, type, r->blocks[i]) != r->contents[i];
	r->looked += r->cnt;
	r->cnt = 0;
	for (size_t i = 0; i < cnt && i < REPLACED_BLOCKS; i++) {
		uint64_t content = content_of(py, heap, type, blocks[i]);

		if (!content)
			continue;
		r->blocks[r->cnt] = blocks[i];
		r->contents[r->cnt++] = content;
	}
	return r->looked < LOOKED_MIN || r->changed * 2 > r->looked;
}
