// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Linear probing with tombstones. One allocation: the places (key, value, each padded to 8 bytes), then one state byte per
 * place.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

enum { PLACE_FREE, PLACE_TAKEN, PLACE_DELETED };

#define MIN_CAPACITY 16

static size_t pad8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static unsigned char *place__key(const struct map *m, size_t at)
{
	return m->places + at * m->stride;
}

static unsigned char *place__value(const struct map *m, size_t at)
{
	return place__key(m, at) + pad8(m->key_size);
}

static unsigned char *place__state(const struct map *m, size_t at)
{
	return m->places + m->capacity * m->stride + at;
}

/* Keys come from the target: the address of the table, which it cannot know, keeps it from choosing keys that collide. */
static size_t map__hash(const struct map *m, const void *key)
{
	uint64_t h = (uintptr_t)m->places * 0x9e3779b97f4a7c15ULL;
	const unsigned char *p = key;
	size_t left = m->key_size;

	while (left) {
		uint64_t w = 0;
		size_t n = left < sizeof(w) ? left : sizeof(w);

		memcpy(&w, p, n);
		h ^= w;
		h *= 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		p += n;
		left -= n;
	}
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ (h >> 29);
}

void map__init(struct map *m, size_t key_size, size_t value_size)
{
	memset(m, 0, sizeof(*m));
	m->key_size = key_size;
	m->value_size = value_size;
	m->stride = pad8(key_size) + pad8(value_size);
}

void map__free(struct map *m)
{
	free(m->places);
	map__init(m, m->key_size, m->value_size);
}

/* Where KEY is, or else where it would go. Only with at least one free place. */
static size_t map__find(const struct map *m, const void *key, bool *found)
{
	size_t mask = m->capacity - 1, at = map__hash(m, key) & mask;
	size_t deleted = m->capacity;

	for (;; at = (at + 1) & mask) {
		unsigned char state = *place__state(m, at);

		if (state == PLACE_FREE)
			break;
		if (state == PLACE_DELETED && deleted == m->capacity)
			deleted = at;
		if (state == PLACE_TAKEN && !memcmp(place__key(m, at), key, m->key_size)) {
			*found = true;
			return at;
		}
	}
	*found = false;
	return deleted != m->capacity ? deleted : at;
}

static bool map__rehash(struct map *m)
{
	struct map bigger = *m;
	bool found;

	bigger.capacity = MIN_CAPACITY;
	while (bigger.capacity < (m->cnt + 1) * 2)
		bigger.capacity *= 2;
	bigger.places = calloc(bigger.capacity, m->stride + 1);
	if (!bigger.places)
		return false;
	for (size_t i = 0; i < m->capacity; i++) {
		if (*place__state(m, i) != PLACE_TAKEN)
			continue;
		size_t at = map__find(&bigger, place__key(m, i), &found);

		memcpy(place__key(&bigger, at), place__key(m, i), m->stride);
		*place__state(&bigger, at) = PLACE_TAKEN;
	}
	free(m->places);
	bigger.used = bigger.cnt;
	*m = bigger;
	return true;
}

void *map__get(const struct map *m, const void *key)
{
	bool found;
	size_t at;

	if (!m->cnt)
		return NULL;
	at = map__find(m, key, &found);
	return found ? place__value(m, at) : NULL;
}

void *map__put(struct map *m, const void *key, bool *existed)
{
	bool found = false;
	size_t at = 0;

	if (m->capacity)
		at = map__find(m, key, &found);
	if (existed)
		*existed = found;
	if (found)
		return place__value(m, at);
	if ((m->used + 1) * 4 > m->capacity * 3) {
		if (!map__rehash(m))
			return NULL;
		at = map__find(m, key, &found);
	}
	if (*place__state(m, at) == PLACE_FREE)
		m->used++;
	*place__state(m, at) = PLACE_TAKEN;
	m->cnt++;
	memcpy(place__key(m, at), key, m->key_size);
	memset(place__value(m, at), 0, m->value_size);
	return place__value(m, at);
}

bool map__del(struct map *m, const void *key)
{
	bool found;
	size_t at;

	if (!m->cnt)
		return false;
	at = map__find(m, key, &found);
	if (!found)
		return false;
	*place__state(m, at) = PLACE_DELETED;
	m->cnt--;
	return true;
}

bool map__next(const struct map *m, size_t *i, const void **key, void **value)
{
	for (; *i < m->capacity; ++*i) {
		if (*place__state(m, *i) != PLACE_TAKEN)
			continue;
		if (key)
			*key = place__key(m, *i);
		if (value)
			*value = place__value(m, *i);
		++*i;
		return true;
	}
	return false;
}
