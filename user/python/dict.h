/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* dict objects in foreign memory: Objects/dictobject.c, Objects/dict-common.h, pycore_dict.h. */
#ifndef DICT_H
#define DICT_H

#include <stddef.h>
#include <stdint.h>

struct py_interp;

/* The header of a PyDictKeysObject and what follows from it. */
struct dict_keys {
	uint64_t places, nentries, usable;
	uint64_t entries_off; /* from the start of the keys object */
	uint32_t entry_size, key_off, value_off;
	uint64_t total_bytes; /* what was asked of the allocator */
};
#define DICT_KEYS_HEADER_BYTES 40

/* Pure: decodes the first DICT_KEYS_HEADER_BYTES of a keys object. -EFAULT: no such thing. */
struct py_layout;
int dict_keys__decode(const struct py_layout *l, const void *header, struct dict_keys *out);

/* PyDictEntry of 2.7: hash, key, value. */
#define DICT27_ENTRY_BYTES 24

/* The value of a str key, found by looking at entries one by one. -ENOENT; -EFAULT: no dict, or not among the first 8,192 of more. */
int py_dict__find(const struct py_interp *py, uint64_t dict, const char *key, uint64_t *value);

struct dict_entry {
	uint64_t key, value;
};
/*
 * All entries that have a value, in their order, if they are at most MAX and the dict keeps its values with its keys (classes and
 * modules do). How many, or -EFAULT (no such dict).
 */
int py_dict__entries(const struct py_interp *py, uint64_t dict, struct dict_entry *out, size_t max);

#endif
