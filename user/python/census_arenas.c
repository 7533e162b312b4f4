// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Why free memory is not given back: what lives in arenas that are nearly empty. Objects/obmalloc.c: ARENA_SIZE. */
#include <stdlib.h>
#include <string.h>

#include "census_state.h"

enum {
	SMALL_ARENA_BYTES = 256 << 10, /* to 3.9, with pools of 4 KiB */
	LARGE_ARENA_BYTES = 1 << 20,
	SPARSE_FACTOR = 4,
	NAME_MAX_BYTES = 1100,
};

/* Pools of one arena: they are neighbours, and have its index. */
struct arena {
	size_t from, to;
	uint64_t live_bytes;
};

void census__free_keepers(struct census *c)
{
	for (int i = 0; i < CENSUS_KEEPERS; i++) {
		free(c->keepers[i]);
		c->keepers[i] = NULL;
	}
}

/* Live blocks of the pool by the tag of what is in them. */
static void each_tag(const struct heap_pool *p, void (*tell)(void *ctx, uint32_t tag, uint32_t cnt), void *ctx)
{
	uint32_t cnts[POOL_BLOCKS_MAX] = { 0 }, cnt;
	const struct slot *all = heap_slots__all(&p->slots, &cnt);

	heap_slots__cnt(&p->slots, cnts);
	for (uint32_t i = 0; i < cnt; i++)
		if (cnts[i] && all[i].tag != TAG_NONE)
			tell(ctx, all[i].tag, cnts[i]);
}

static void add_cnt(void *ctx, uint32_t tag, uint32_t cnt)
{
	(void)tag;
	*(uint64_t *)ctx += cnt;
}

static void add_keeping(void *ctx, uint32_t tag, uint32_t cnt)
{
	struct census *c = ctx;

	if (tag == TAG_BUFFER)
		c->keeping_buffers += cnt;
	else if (tag < c->type_capacity)
		c->types[tag].keeping += cnt;
}

static bool next_arena(const struct heap *h, uint64_t arena_bytes, struct arena *a)
{
	*a = (struct arena){ .from = a->to, .to = a->to };
	for (; a->to < h->pool_cnt; a->to++) {
		const struct heap_pool *first = &h->pools[a->from], *p = &h->pools[a->to];
		uint64_t live = 0;

		if (p->arena != first->arena || p->addr - first->addr >= arena_bytes)
			break;
		each_tag(p, add_cnt, &live);
		a->live_bytes += live * p->block_bytes;
	}
	return a->to > a->from;
}

/* The tag of which most objects keep sparse arenas, those that were told before left out; TAG_NONE: none. */
static uint32_t take_keeper(struct census *c, int64_t *cnt)
{
	uint32_t best = c->keeping_buffers ? TAG_BUFFER : TAG_NONE;

	*cnt = c->keeping_buffers;
	for (uint32_t tag = TAG_FIRST; tag < c->type_capacity; tag++) {
		if (c->types[tag].keeping <= *cnt)
			continue;
		*cnt = c->types[tag].keeping;
		best = tag;
	}
	if (best == TAG_BUFFER)
		c->keeping_buffers = 0;
	else if (best != TAG_NONE)
		c->types[best].keeping = 0;
	return best;
}

static char *name_of(const struct census *c, uint32_t tag)
{
	char name[NAME_MAX_BYTES];

	if (tag == TAG_BUFFER)
		return strdup(CENSUS_BUFFER);
	if (c->py->names.types != NAMES_TRUE || py_type__name(c->py, c->heap->types.types[tag].addr, name, sizeof(name), NULL))
		return NULL;
	return strdup(name);
}

void census__read_arenas(struct census *c)
{
	const struct heap *h = c->heap;
	struct census_arenas *out = &c->stats.arenas;
	struct arena a = { 0 };
	int64_t cnt;
	uint32_t tag;

	if (!c->stats.has_pools || c->options.sample)
		return;
	out->bytes_each = h->pool_bytes == POOL_SMALL_BYTES ? SMALL_ARENA_BYTES : LARGE_ARENA_BYTES;
	c->keeping_buffers = 0;
	while (next_arena(h, out->bytes_each, &a)) {
		out->cnt++;
		if (a.live_bytes * SPARSE_FACTOR >= out->bytes_each)
			continue;
		out->sparse_cnt++;
		out->sparse_live_bytes += a.live_bytes;
		for (size_t i = a.from; i < a.to; i++)
			each_tag(&h->pools[i], add_keeping, c);
	}
	for (int i = 0; i < CENSUS_KEEPERS; i++) {
		tag = take_keeper(c, &cnt);
		if (tag == TAG_NONE)
			break;
		c->keepers[i] = name_of(c, tag);
		out->kept_by[i].type = c->keepers[i];
		out->kept_by[i].objects = cnt;
	}
}
