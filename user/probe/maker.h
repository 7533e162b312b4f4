/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * PyType_GenericAlloc(): tp_alloc of all classes of Python, so that an instance of any is made by it (Objects/typeobject.c, type_new). Called through that
 * pointer, so it is never inlined there.
 */
#ifndef MAKER_H
#define MAKER_H

#include <stdint.h>

struct py_interp;

struct maker {
	uint64_t addr; /* of the function, in this process; 0: not found */
	uint64_t off;  /* where a probe is cheap, in the file */
};

void maker__find(const struct py_interp *py, struct maker *out);

#endif
