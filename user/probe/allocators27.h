/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Python 2.7 (Objects/obmalloc.c, Include/pymem.h): objects come from PyObject_Malloc and its like, without a context; PyMem_MALLOC is
 * libc's malloc, called from the interpreter's text directly.
 */
#ifndef ALLOCATORS27_H
#define ALLOCATORS27_H

#include "allocators.h"

/* As allocators__find. */
int allocators27__find(const struct py_interp *py, struct allocators *out, char *why, size_t why_size);

#endif
