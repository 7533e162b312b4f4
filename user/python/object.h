/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects in foreign memory: names of types, and what a block that is no object is for. */
#ifndef OBJECT_H_
#define OBJECT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct py_interp;

/*
 * The name of the type at ADDR as INTERFACE.md says: module + "." + qualname without "builtins.". Static types: tp_name (whose
 * last component is the name; a name without a dot is builtin). Heap types: __module__ from tp_dict (a str) and ht_qualname.
 * -EFAULT when it is not a type object (its metatype lacks Py_TPFLAGS_TYPE_SUBCLASS, pointers implausible).
 * STAMP gets a value that changes when another type takes this address (name pointers and the like).
 */
int py_type__name(const struct py_interp *py, uint64_t addr, char *out, size_t out_size, uint64_t *stamp);
int py_type__stamp(const struct py_interp *py, uint64_t addr, uint64_t *stamp);

/*
 * The object in the block [addr, addr+size): its type, and where its PyObject header is: OBJECT_OFF = 0, 16 (GC head) or 32 (3.11+
 * pre-header and GC head) or 16 (pre-header without GC). 0, or -ENOENT when the block holds no object. The same rule as the
 * BPF side uses: refcount plausible, the word after it a type, the type's flags agree with the offset, basicsize fits.
 * FIRST are the block's first FIRST_SIZE bytes when the caller has them already (else NULL, 0).
 */
int py_block__object(const struct py_interp *py, uint64_t addr, uint64_t size, const void *first, size_t first_size,
		     uint64_t *type, uint32_t *object_off);

/*
 * A hash of what tells one object of TYPE in this block from another: neither its reference count nor what comes before the object. FIRST as above, and all that
 * is looked at. TYPE 0: a buffer. 0: the block holds no object of TYPE; else never 0.
 */
uint64_t py_block__content(const struct py_interp *py, uint64_t addr, uint64_t size, const void *first, size_t first_size, uint64_t type);

enum block_use {
	USE_UNKNOWN,     /* "(buffer)" */
	USE_LIST_ITEMS,  /* "list items" */
	USE_DICT_KEYS,   /* "dict keys" */
	USE_DICT_VALUES, /* "dict values" */
	USE_SET_TABLE,   /* "set table" */
	USE_DEQUE_BLOCK, /* "deque block" */
	USE_BYTEARRAY,   /* "bytearray buffer": only through its owner */
	USE_CNT
};
const char *block_use__name(enum block_use use);

/* What this block that is no object is used for, from its content alone (dict keys: header and size must agree; set table:
 * entries are (object, hash) with the right power-of-two size; deque block: links; list items: object pointers from the start).
 * Conservative: USE_UNKNOWN when in doubt. */
enum block_use py_block__use(const struct py_interp *py, uint64_t addr, uint64_t size);

struct owned_buffer {
	uint64_t addr;
	enum block_use use;
};

/*
 * What instances of a type own, so that it is found out once per type and not for each instance.
 */
enum py_container { OWNS_NOTHING, OWNS_LIST, OWNS_DICT, OWNS_SET, OWNS_BYTEARRAY, OWNS_DEQUE };
struct py_owner {
	enum py_container container;
	bool managed; /* instances have words in front of them (3.11+) */
	uint32_t head_bytes; /* what lies before the PyObject header in an instance's block */
};
/* -EFAULT: no type. */
int py_type__owner(const struct py_interp *py, uint64_t type, struct py_owner *out);
/* As py_object__buffers, for an OWNER known already. */
size_t py_object__owned(const struct py_interp *py, uint64_t object, const struct py_owner *owner, struct owned_buffer *out,
			size_t max);

/*
 * How many dead objects of a TYPE (or memory of an enum block_use) the interpreter keeps in a free list; 0: none, or not known.
 * PyDict_MAXFREELIST (for key tables, too), PyList_MAXFREELIST, PyFloat_MAXFREELIST: the same from 2.7 to 3.12; PyFrame_MAXFREELIST (to 3.10). WATCHED: what
 * comes out of them is seen, but for frames.
 */
uint32_t py_type__recycled_max(const struct py_interp *py, uint64_t type, bool watched);

/*
 * What CPython's function FUNCTION (a symbol, compiler suffixes like ".part.0" allowed) allocates buffers for, where that is one thing
 * only. USE_UNKNOWN for all others.
 */
enum block_use block_use__of_function(const char *function);

/* The buffers that an object of a builtin type (or a subclass of one) owns directly; at most MAX; returns how many. Layout-exact:
 * list.ob_item, dict.ma_keys (combined tables only) and ma_values, set.table (unless the small one), bytearray.ob_bytes,
 * deque blocks (left and right end), instance values reached through a managed-dict pre-header (3.11+). */
size_t py_object__buffers(const struct py_interp *py, uint64_t object, uint64_t type, struct owned_buffer *out, size_t max);

#endif
