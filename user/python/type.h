/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is used of a type object: Include/cpython/object.h. Names are in object.h. */
#ifndef TYPE_H
#define TYPE_H

#include <stdint.h>

struct py_interp;

/* Py_TPFLAGS_*: the same bits in 2.7 and 3.6-3.14. */
#define TYPE_MANAGED_DICT (1UL << 4) /* 3.11+ */
#define TYPE_HEAP (1UL << 9)
#define TYPE_READY (1UL << 12)
#define TYPE_GC (1UL << 14)
#define TYPE_LONG_SUBCLASS (1UL << 24)
#define TYPE_LIST_SUBCLASS (1UL << 25)
#define TYPE_TUPLE_SUBCLASS (1UL << 26)
#define TYPE_STRING_SUBCLASS (1UL << 27) /* 2.7: str; later bytes */
#define TYPE_STR_SUBCLASS (1UL << 28)
#define TYPE_DICT_SUBCLASS (1UL << 29)
#define TYPE_TYPE_SUBCLASS (1UL << 31)

struct type_info {
	uint64_t addr, metatype;
	uint64_t name; /* char * */
	uint64_t dealloc, flags, base, dict, alloc;
	int64_t basicsize, itemsize;
};

/*
 * -EFAULT: not a type object, that is: its own type is not a type, or a field is not plausible. One read when the metatype
 * is `type`.
 */
int type_info__read(const struct py_interp *py, uint64_t addr, struct type_info *out);

#endif
