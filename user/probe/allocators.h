/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPython's three allocator tables (Objects/obmalloc.c: _PyMem_Raw, _PyMem, _PyObject; in _PyRuntime.allocators.standard since
 * 3.12): where they are in a running process, which functions stand in them, where to probe those, and whether the
 * build has inlined them (then the tables must be redirected for the calls to be seen; see redirect.h).
 *
 * What stands in the tables are the outermost functions: the interpreter's own, debug hooks, tracemalloc's, or those of an
 * extension that called PyMem_SetAllocator.
 */
#ifndef ALLOCATORS_H
#define ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "code_file.h"
#include "place.h"

struct py_interp;

enum alloc_table { TABLE_RAW, TABLE_MEM, TABLE_OBJ, TABLE_CNT };
enum alloc_op { OP_MALLOC, OP_CALLOC, OP_REALLOC, OP_FREE, OP_CNT };

struct alloc_slot {
	uint64_t addr;     /* of the word in the table */
	uint64_t fn;       /* the function in it, runtime address */
	const struct code_file *file; /* that it is in */
	size_t guards;     /* inlined copies guarded by a comparison with it */
	bool redirect;     /* the word must hold alias while tracing */
	uint64_t alias;    /* equivalent entry, runtime address; 0: none found */
	struct place probe; /* runtime address */
};

/* Places in another file than the interpreter's, as file offsets. */
struct libc_places {
	char path[4096]; /* to be opened from here; empty: there is none */
	struct place places[OP_CNT];
};

struct allocators {
	struct code_files files;
	uint64_t table_addr[TABLE_CNT];
	struct alloc_slot slots[TABLE_CNT][OP_CNT];
	bool mem_is_obj;   /* the two tables hold the same functions (the default) */
	bool any_is_raw;   /* they hold functions of the raw table too (PYTHONMALLOC=malloc): such may be called without the GIL */
	bool hooked;       /* some are not in the interpreter's file */
	bool inlined;      /* some slot has guards */
	bool read_only;    /* as asked for */
	bool blind;        /* inlined, and not redirected: --read-only or no alias */
	/*
	 * 2.7 has no tables: the exported functions are probed, and libc's own for what the interpreter's text takes from them. A slot
	 * without a function is not there.
	 */
	bool no_tables;
	struct libc_places libc;
	uint64_t text_start, text_end; /* of the interpreter: who may call libc */
};

/*
 * READ_ONLY: plan no redirection. 0, or -EOPNOTSUPP with a sentence in WHY (tables not found, functions where no probe can be placed),
 * or -errno of reading. What was found is closed with allocators__close, safe after errors too.
 */
int allocators__find(const struct py_interp *py, bool read_only, struct allocators *out, char *why, size_t why_size);
void allocators__close(struct allocators *a);

/* What must stand in the table of a process whose interpreter is DELTA above the one that SLOT was found in. */
uint64_t alloc_slot__fn(const struct alloc_slot *slot, uint64_t delta);
/* Do the tables of such a process still hold what A says, or an equivalent that we put there? true also if they cannot be read. */
bool allocators__still(const struct allocators *a, const struct py_interp *py, uint64_t delta);

#endif
