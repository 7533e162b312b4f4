/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Byte strings (names of files, functions, types) <-> small dense ids. Nothing is ever forgotten. */
#ifndef INTERN_H
#define INTERN_H

#include <stddef.h>
#include <stdint.h>

struct intern;

struct intern *intern__new(void); /* NULL: out of memory */
void intern__free(struct intern *in);

/* The id of these bytes, the same for equal bytes. Id 0 is the empty string, which means "unknown". 0 or -ENOMEM. */
int intern__id(struct intern *in, const void *bytes, size_t len, uint32_t *id);
int intern__string(struct intern *in, const char *s, uint32_t *id);

/*
 * The bytes, with a NUL after them, aligned to 8; LEN may be NULL. Good until intern__free. "" for an id never given out.
 * They are raw: clean them before showing.
 */
const char *intern__get(const struct intern *in, uint32_t id, size_t *len);
/* Ids are 0 ... cnt - 1. */
uint32_t intern__cnt(const struct intern *in);

#endif
