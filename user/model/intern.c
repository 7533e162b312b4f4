// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intern.h"

#define CHUNK_SIZE 65536

/* Bytes live in chunks that never move, so that pointers stay good while the table grows. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	char bytes[] __attribute__((aligned(8)));
};

struct entry {
	const char *bytes;
	size_t len;
	uint64_t hash;
};

struct intern {
	struct chunk *chunks;
	struct entry *entries; /* by id */
	uint32_t cnt, capacity;
	uint32_t *places; /* open addressing: id + 1; 0: free */
	size_t places_cnt;
};

/* As in map.c: seeded by an address, for the bytes are the target's choice. */
static uint64_t intern__hash(const struct intern *in, const void *bytes, size_t len)
{
	uint64_t h = (uintptr_t)in * 0x9e3779b97f4a7c15ULL ^ len;
	const unsigned char *p = bytes;

	while (len) {
		uint64_t w = 0;
		size_t n = len < sizeof(w) ? len : sizeof(w);

		memcpy(&w, p, n);
		h = (h ^ w) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		p += n;
		len -= n;
	}
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ (h >> 29);
}

static char *intern__copy(struct intern *in, const void *bytes, size_t len)
{
	size_t need = (len + 1 + 7) & ~(size_t)7;
	struct chunk *c = in->chunks;
	char *copy;

	if (!c || c->size - c->used < need) {
		size_t size = need > CHUNK_SIZE ? need : CHUNK_SIZE;

		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		c->used = 0;
		c->size = size;
		c->next = in->chunks;
		in->chunks = c;
	}
	copy = c->bytes + c->used;
	c->used += need;
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

static size_t intern__place(const struct intern *in, uint64_t hash, const void *bytes, size_t len)
{
	size_t mask = in->places_cnt - 1, at = hash & mask;

	for (; in->places[at]; at = (at + 1) & mask) {
		const struct entry *e = &in->entries[in->places[at] - 1];

		if (e->hash == hash && e->len == len && !memcmp(e->bytes, bytes, len))
			break;
	}
	return at;
}

static int intern__grow(struct intern *in)
{
	uint32_t capacity = in->capacity ? in->capacity * 2 : 64;
	struct entry *entries;
	uint32_t *places;

	if (in->cnt < in->capacity)
		return 0;
	if (capacity < in->capacity)
		return -ENOMEM;
	entries = realloc(in->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	in->entries = entries;
	places = calloc((size_t)capacity * 2, sizeof(*places));
	if (!places)
		return -ENOMEM;
	free(in->places);
	in->places = places;
	in->places_cnt = (size_t)capacity * 2;
	in->capacity = capacity;
	for (uint32_t id = 0; id < in->cnt; id++) {
		const struct entry *e = &in->entries[id];

		in->places[intern__place(in, e->hash, e->bytes, e->len)] = id + 1;
	}
	return 0;
}

struct intern *intern__new(void)
{
	struct intern *in = calloc(1, sizeof(*in));
	uint32_t empty;

	if (in && intern__id(in, "", 0, &empty)) {
		intern__free(in);
		return NULL;
	}
	return in;
}

void intern__free(struct intern *in)
{
	if (!in)
		return;
	while (in->chunks) {
		struct chunk *next = in->chunks->next;

		free(in->chunks);
		in->chunks = next;
	}
	free(in->entries);
	free(in->places);
	free(in);
}

int intern__id(struct intern *in, const void *bytes, size_t len, uint32_t *id)
{
	uint64_t hash = intern__hash(in, bytes, len);
	const char *copy;
	size_t at;
	int err;

	err = intern__grow(in);
	if (err)
		return err;
	at = intern__place(in, hash, bytes, len);
	if (!in->places[at]) {
		copy = intern__copy(in, bytes, len);
		if (!copy)
			return -ENOMEM;
		in->entries[in->cnt] = (struct entry){.bytes = copy, .len = len, .hash = hash};
		in->places[at] = ++in->cnt;
	}
	*id = in->places[at] - 1;
	return 0;
}

int intern__string(struct intern *in, const char *s, uint32_t *id)
{
	return intern__id(in, s, strlen(s), id);
}

const char *intern__get(const struct intern *in, uint32_t id, size_t *len)
{
	const struct entry *e = &in->entries[id < in->cnt ? id : 0];

	if (len)
		*len = e->len;
	return e->bytes;
}

uint32_t intern__cnt(const struct intern *in)
{
	return in->cnt;
}
