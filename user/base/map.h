/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hash map from a fixed-size key to a fixed-size value, both kept inline (open addressing). */
#ifndef MAP_H
#define MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map {
	size_t key_size, value_size, stride;
	size_t cnt, used, capacity; /* used counts deleted places too */
	unsigned char *places;
};

void map__init(struct map *m, size_t key_size, size_t value_size);
void map__free(struct map *m);
/* NULL when absent. The pointer is good until the next map__put. */
void *map__get(const struct map *m, const void *key);
/* The value for KEY, made zeroed when absent; *EXISTED (may be NULL) says which. NULL: out of memory. */
void *map__put(struct map *m, const void *key, bool *existed);
bool map__del(struct map *m, const void *key);
/* Iterate: for (size_t i = 0; map__next(m, &i, &key, &value);) - deleting the current key is allowed. */
bool map__next(const struct map *m, size_t *i, const void **key, void **value);

#endif
