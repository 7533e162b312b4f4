/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * str objects in foreign memory, as UTF-8. Layout: Include/cpython/unicodeobject.h; 2.7, where a str is bytes:
 * Include/stringobject.h.
 */
#ifndef STR_H
#define STR_H

#include <stddef.h>
#include <stdint.h>

struct py_interp;

/*
 * The text of the str (or instance of a subclass) at ADDR: at most OUT_SIZE bytes, NUL included, cut at a character.
 * Lone surrogates become the text \udcXX, U+0000 and (2.7) bytes that are no UTF-8 the text \xXX. 0, -EFAULT (no str), -ESRCH, -EPERM.
 */
int py_str__read(const struct py_interp *py, uint64_t addr, char *out, size_t out_size);
/* The same, owned by the caller. */
int py_str__dup(const struct py_interp *py, uint64_t addr, size_t max, char **out);

/* A NUL-terminated C string, cut at OUT_SIZE - 1. */
int py_cstr__read(const struct py_interp *py, uint64_t addr, char *out, size_t out_size);

#endif
