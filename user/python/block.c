// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "hash.h"
#include "object.h"
#include "python.h"
#include "shape.h"
#include "type.h"

static bool is_object_at(const struct py_interp *py, const uint64_t *words, uint32_t off, uint64_t size, uint64_t *type)
{
	const uint64_t *header = words + off / 8;
	struct type_shape shape;
	struct type_info t;

	if (!shape__is_refcnt(py, header[0]) || type_info__read(py, header[1], &t))
		return false;
	shape = type_shape__of(py, &t);
	if (!type_shape__fits(py, &shape, words, off, size))
		return false;
	*type = t.addr;
	return true;
}

int py_block__object(const struct py_interp *py, uint64_t addr, uint64_t size, const void *first, size_t first_size,
		     uint64_t *type, uint32_t *object_off)
{
	uint64_t words[(OBJECT_HEADS_MAX_BYTES + OBJECT_HEADER_BYTES) / 8] = { 0 };
	size_t wanted = size < sizeof(words) ? size : sizeof(words);
	uint32_t step = py->gc_head_bytes % 16 ? 8 : 16;
	int err;

	if (first && first_size >= wanted) {
		memcpy(words, first, wanted);
	} else {
		err = remote__read(&py->mem, addr, words, wanted);
		if (err)
			return err;
	}
	for (uint32_t off = 0; off <= OBJECT_HEADS_MAX_BYTES && off + OBJECT_HEADER_BYTES <= wanted; off += step) {
		if (!is_object_at(py, words, off, size, type))
			continue;
		*object_off = off;
		return 0;
	}
	return -ENOENT;
}

uint64_t py_block__content(const struct py_interp *py, uint64_t addr, uint64_t size, const void *first, size_t first_size, uint64_t type)
{
	const unsigned char *bytes = first;
	uint64_t found;
	uint32_t off = 0;

	if (type) {
		if (py_block__object(py, addr, size, first, first_size, &found, &off) || found != type)
			return 0;
		off += sizeof(uint64_t); /* ob_refcnt */
	}
	return off < first_size ? hash__bytes(HASH_START, bytes + off, first_size - off) ?: 1 : 1;
}
