// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap.h"

#include <stdlib.h>

#include "heap_state.h"

struct heap *heap__new(const struct py_interp *py)
{
	struct heap *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->py = py;
	h->options.max_bytes = HEAP_MAX_BYTES;
	h->since_end = SINCE_END;
	heap_types__init(&h->types, py);
	return h;
}

void heap__free(struct heap *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->pool_cnt; i++)
		heap_slots__free(&h->pools[i].slots);
	heap_types__free(&h->types);
	free(h->pools);
	free(h->kinds);
	free(h->since_reading);
	free(h);
}

void heap__set_options(struct heap *h, const struct heap_options *options)
{
	h->options = *options;
	if (!h->options.max_bytes)
		h->options.max_bytes = HEAP_MAX_BYTES;
}

static void tell(const struct heap *h, const struct heap_pool *p, uint32_t i, struct heap_block *out)
{
	struct slot s = heap_slots__get(&p->slots, i);

	*out = (struct heap_block){
		.addr = p->addr + POOL_HEADER_BYTES + i * p->block_bytes,
		.type = s.tag >= TAG_FIRST ? h->types.types[s.tag].addr : 0,
		.bytes = p->block_bytes,
		.since = s.since == SINCE_NEXT ? h->stats.readings + 1 : h->since_reading[s.since],
	};
}

static struct heap_pool *find_pool(const struct heap *h, uint64_t addr)
{
	size_t low = 0, high = h->pool_cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (addr < h->pools[mid].addr)
			high = mid;
		else if (addr - h->pools[mid].addr >= h->pool_bytes)
			low = mid + 1;
		else
			return &h->pools[mid];
	}
	return NULL;
}

/* The pool of the live block that ADDR is in, which one that is and how far behind its begin ADDR is; else NULL. */
static struct heap_pool *find_block(const struct heap *h, uint64_t addr, uint32_t *i, uint32_t *behind)
{
	struct heap_pool *p = find_pool(h, addr);
	uint64_t off;

	if (!p || addr - p->addr < POOL_HEADER_BYTES)
		return NULL;
	off = addr - p->addr - POOL_HEADER_BYTES;
	*i = off / p->block_bytes;
	*behind = off % p->block_bytes;
	return *i < p->slots.capacity && heap_slots__get(&p->slots, *i).tag != TAG_NONE ? p : NULL;
}

bool heap__place(const struct heap *h, uint64_t addr, uint32_t *block_bytes, uint32_t *behind)
{
	const struct heap_pool *p = find_pool(h, addr);
	uint32_t i;

	if (p && p->left_out && p->block_bytes && addr - p->addr >= POOL_HEADER_BYTES)
		*behind = (addr - p->addr - POOL_HEADER_BYTES) % p->block_bytes;
	else
		p = find_block(h, addr, &i, behind);
	if (p)
		*block_bytes = p->block_bytes;
	return p;
}

bool heap__at(const struct heap *h, uint64_t addr, struct heap_block *out)
{
	uint32_t i, behind;
	const struct heap_pool *p = find_block(h, addr, &i, &behind);

	if (p)
		tell(h, p, i, out);
	return p;
}

bool heap__find(const struct heap *h, uint64_t addr, struct heap_block *out)
{
	uint32_t i, behind;
	const struct heap_pool *p = find_block(h, addr, &i, &behind);

	if (!p || behind)
		return false;
	tell(h, p, i, out);
	return true;
}

void heap__touch(struct heap *h, uint64_t addr)
{
	uint32_t i, behind;
	struct heap_pool *p = find_block(h, addr, &i, &behind);

	/* Without memory for it the block stays as old as it was. */
	if (p && !behind)
		heap_slots__set(&p->slots, i, (struct slot){ heap_slots__get(&p->slots, i).tag, SINCE_NEXT });
}

bool heap__next(const struct heap *h, struct heap_iter *it, struct heap_block *out)
{
	for (; it->pool < h->pool_cnt; it->pool++, it->block = 0) {
		const struct heap_pool *p = &h->pools[it->pool];

		while (it->block < p->slots.capacity) {
			uint32_t i = it->block++;

			if (heap_slots__get(&p->slots, i).tag == TAG_NONE)
				continue;
			tell(h, p, i, out);
			return true;
		}
	}
	return false;
}

size_t heap__kinds(const struct heap *h, const struct heap_kind **out)
{
	*out = h->kinds;
	return h->kind_cnt;
}

void heap__stats(const struct heap *h, struct heap_stats *out)
{
	*out = h->stats;
}
