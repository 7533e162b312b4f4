// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Numbers of readings, and the sums of one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap_state.h"

/* Two readings become one, so that there are numbers for more. The first stays what it is. */
static void merge_readings(struct heap *h)
{
	for (size_t i = 0; i < h->pool_cnt; i++) {
		uint32_t cnt;
		struct slot *s = heap_slots__all(&h->pools[i].slots, &cnt);

		for (uint32_t k = 0; k < cnt; k++)
			if (s[k].since > SINCE_FIRST)
				s[k].since = s[k].since / 2 + 1;
	}
	for (uint32_t since = SINCE_FIRST + 1; since <= h->since_now; since++)
		h->since_reading[since / 2 + 1] = h->since_reading[since];
	h->since_now = h->since_now / 2 + 1;
}

static int next_since(struct heap *h)
{
	uint32_t capacity = h->since_capacity ? h->since_capacity * 2 : 64, *bigger;

	if (h->since_now + 1 == h->since_end)
		merge_readings(h);
	if (h->since_now + 1 >= h->since_capacity) {
		bigger = realloc(h->since_reading, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		h->since_reading = bigger;
		h->since_capacity = capacity;
	}
	h->since_now++;
	h->since_reading[h->since_now] = h->stats.readings;
	return 0;
}

/* A type without instances may be gone by the next reading, and another one in its place. */
static void forget_unused_types(struct heap *h)
{
	for (uint32_t tag = TAG_FIRST; tag < h->types.cnt; tag++)
		if (h->types.types[tag].addr && !h->types.types[tag].count.live)
			heap_types__drop(&h->types, tag);
}

int heap_books__begin(struct heap *h)
{
	int err = next_since(h);

	if (err)
		return err;
	forget_unused_types(h);
	heap_types__begin(&h->types);
	for (uint32_t tag = TAG_FIRST; tag < h->types.cnt; tag++)
		h->types.types[tag].count = (struct heap_count){ 0 };
	memset(h->buffers, 0, sizeof(h->buffers));
	return 0;
}

static void count_slot(struct heap *h, const struct heap_pool *p, struct slot s, int64_t live)
{
	struct heap_count *c;

	if (s.tag == TAG_NONE)
		return;
	c = s.tag == TAG_BUFFER ? &h->buffers[p->block_bytes / 8] : &h->types.types[s.tag].count;
	c->live += live;
	c->bytes += live * p->block_bytes;
	if (s.since == SINCE_FIRST)
		c->old += live;
	if (s.since == h->since_now)
		c->fresh += live;
	h->stats.live += live;
	h->stats.live_bytes += live * p->block_bytes;
}

void heap_books__count(struct heap *h, const struct heap_pool *p)
{
	uint32_t cnts[POOL_BLOCKS_MAX] = { 0 }, cnt;
	const struct slot *all = heap_slots__all(&p->slots, &cnt);

	heap_slots__cnt(&p->slots, cnts);
	for (uint32_t i = 0; i < cnt; i++)
		if (cnts[i])
			count_slot(h, p, all[i], cnts[i]);
	h->stats.pools++;
}

int heap_books__close(struct heap *h)
{
	size_t most = h->types.cnt + sizeof(h->buffers) / sizeof(h->buffers[0]);
	struct heap_kind *kinds = realloc(h->kinds, most * sizeof(*kinds));
	const struct heap_count *c;

	h->kind_cnt = 0;
	if (!kinds)
		return -ENOMEM;
	h->kinds = kinds;
	for (uint32_t tag = TAG_FIRST; tag < h->types.cnt; tag++) {
		c = &h->types.types[tag].count;
		if (c->live)
			kinds[h->kind_cnt++] = (struct heap_kind){ h->types.types[tag].addr, 0, c->live, c->bytes, c->old, c->fresh };
	}
	for (uint32_t i = 0; i < sizeof(h->buffers) / sizeof(h->buffers[0]); i++) {
		c = &h->buffers[i];
		if (c->live)
			kinds[h->kind_cnt++] = (struct heap_kind){ 0, i * 8, c->live, c->bytes, c->old, c->fresh };
	}
	return 0;
}
