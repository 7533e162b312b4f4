/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPython's three allocator tables (Objects/obmalloc.c: _PyMem_Raw, _PyMem, _PyObject; in _PyRuntime.allocators.standard since
 * 3.12): where they are in a running process, which functions stand in them, where to probe those, and whether the
 * build has inlined them (then the tables must be redirected for the calls to be seen; see redirect.h).
 */
#ifndef ALLOCATORS_H
#define ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "place.h"

struct py_interp;

enum alloc_table { TABLE_RAW, TABLE_MEM, TABLE_OBJ, TABLE_CNT };
enum alloc_op { OP_MALLOC, OP_CALLOC, OP_REALLOC, OP_FREE, OP_CNT };

struct alloc_slot {
	uint64_t addr;     /* of the word in the table */
	uint64_t fn;       /* the function in it, runtime address */
	size_t guards;     /* inlined copies guarded by a comparison with it */
	bool redirect;     /* the word must hold alias while tracing */
	uint64_t alias;    /* equivalent entry, runtime address; 0: none found */
	struct place probe; /* runtime address */
};

struct allocators {
	uint64_t table_addr[TABLE_CNT];
	uint64_t ctx[TABLE_CNT];
	struct alloc_slot slots[TABLE_CNT][OP_CNT];
	bool mem_is_obj;   /* the two tables hold the same functions (the default) */
	bool inlined;      /* some slot has guards */
	bool read_only;    /* as asked for */
	bool blind;        /* inlined, and not redirected: --read-only or no alias */
};

/*
 * READ_ONLY: plan no redirection. 0, or -EOPNOTSUPP with a sentence in WHY (allocator hooks, PYTHONMALLOC=malloc, tables not
 * found), or -errno of reading.
 */
int allocators__find(const struct py_interp *py, bool read_only, struct allocators *out, char *why, size_t why_size);

#endif
