// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is in the pools: they are copied in big runs and each is decoded from its copy. One that changes while it is copied is copied
 * again; which one that was shows where its free list and its count do not agree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heap_state.h"

enum {
	CHUNK_BYTES = 256 * 1024, /* stays in the cache between copy and decoding */
	CHUNK_POOLS = CHUNK_BYTES / POOL_SMALL_BYTES,
	TRIES = 4,
};

struct reading {
	struct heap *h;
	struct found_pools found;
	size_t old_at; /* in the pools of the reading before */
	struct heap_pool *pools; /* what they become */
	size_t pool_cnt;
	int err;
	struct remote_item items[CHUNK_POOLS];
	unsigned char *chunk;
};

/*
 * In a copy that is TORN the free list may lead through blocks that were given out meanwhile, by what is in them; but what has a
 * reference count and a type is not free.
 */
static int update(struct heap *h, struct heap_pool *to, const unsigned char *image, const struct pool *p, const uint64_t *free_bits,
		  bool torn)
{
	uint32_t tag, object_off = 0;
	const unsigned char *block = image + POOL_HEADER_BYTES;
	struct slot slots[POOL_BLOCKS_MAX], *s = slots;

	heap_slots__unpack(&to->slots, slots);
	for (uint32_t i = 0; i < p->carved; i++, s++, block += p->block_bytes) {
		bool is_free = pool__is_free(free_bits, i);

		tag = is_free && !torn ? TAG_NONE : heap_types__of_block(&h->types, block, p->block_bytes, &object_off);
		if (h->types.err)
			return h->types.err;
		if (is_free && tag == TAG_BUFFER)
			tag = TAG_NONE;
		if (tag != s->tag || s->since == SINCE_NEXT)
			*s = (struct slot){ tag, h->since_now };
		if (h->see && tag != TAG_NONE)
			h->see(h->see_ctx, &(struct heap_seen){ to->addr + (block - image), block, p->block_bytes, tag, object_off,
								h->since_reading[s->since] });
	}
	if (p->carved < to->slots.capacity)
		memset(s, 0, (to->slots.capacity - p->carved) * sizeof(*s));
	return heap_slots__pack(&to->slots, slots);
}

/* The pool at ADDR of the reading before, or nothing; those in between are gone. */
static struct heap_pool take_old(struct reading *r, uint64_t addr)
{
	struct heap *h = r->h;
	struct heap_pool p = { 0 };

	while (r->old_at < h->pool_cnt && h->pools[r->old_at].addr < addr)
		heap_slots__free(&h->pools[r->old_at++].slots);
	if (r->old_at < h->pool_cnt && h->pools[r->old_at].addr == addr)
		p = h->pools[r->old_at++];
	return p;
}

static void put(struct reading *r, const struct heap_pool *p)
{
	r->pools[r->pool_cnt++] = *p;
	if (!p->left_out)
		heap_books__count(r->h, p);
}

enum settled { POOL_GONE, POOL_TORN, POOL_WHOLE };

static bool agrees(const unsigned char *image, uint64_t addr, uint32_t have, const struct pool *p, uint64_t *free_bits)
{
	int cnt;

	if (pool__carved_end(p) > have)
		return false;
	cnt = pool__free_blocks(image, addr, p, free_bits);
	return cnt >= 0 && p->carved - (uint32_t)cnt == p->live;
}

/* A copy that agrees with itself, in up to TRIES tries; or the last one, if that looks like a pool at all. HAVE bytes are in IMAGE. */
static enum settled settle(struct reading *r, uint64_t addr, unsigned char *image, uint32_t have, struct pool *p, uint64_t *free_bits)
{
	bool is_pool;
	int err;

	for (int i = 1;; i++) {
		is_pool = pool__decode(image, addr, r->found.pool_bytes, p) && p->alignment == r->h->alignment;
		if (is_pool && !p->live)
			return POOL_GONE;
		if (is_pool && agrees(image, addr, have, p, free_bits))
			return POOL_WHOLE;
		if (i == TRIES)
			break;
		if (is_pool)
			have = whole_pages(pool__carved_end(p));
		r->h->stats.retried++;
		err = remote__read(&r->h->py->mem, addr, image, have);
		if (err) {
			r->err = err == -EFAULT ? 0 : err;
			return POOL_GONE;
		}
	}
	if (!is_pool)
		return POOL_GONE;
	if (pool__carved_end(p) > have) {
		p->carved = (have - POOL_HEADER_BYTES) / p->block_bytes;
		pool__free_blocks(image, addr, p, free_bits);
	}
	return POOL_TORN;
}

static void take_pool(struct reading *r, const struct found_pool *f, unsigned char *image)
{
	struct heap_pool to = take_old(r, f->addr);
	uint64_t free_bits[POOL_BLOCKS_MAX / 64];
	enum settled settled;
	struct pool p;

	settled = settle(r, f->addr, image, f->bytes, &p, free_bits);
	if (settled == POOL_GONE) {
		if (r->err && to.addr)
			put(r, &to);
		else
			heap_slots__free(&to.slots);
		return;
	}
	if (to.block_bytes != p.block_bytes || to.left_out) {
		heap_slots__free(&to.slots);
		to = (struct heap_pool){ .addr = f->addr, .block_bytes = p.block_bytes };
		heap_slots__init(&to.slots, p.capacity);
	}
	to.arena = p.arena;
	r->err = update(r->h, &to, image, &p, free_bits, settled == POOL_TORN);
	r->h->stats.torn += settled == POOL_TORN;
	put(r, &to);
	if (r->h->see_pool && !r->err)
		r->h->see_pool(r->h->see_ctx, p.block_bytes, p.live);
}

static void keep_pool(struct reading *r, const struct found_pool *f)
{
	struct heap_pool p = take_old(r, f->addr);

	if (f->left_out) {
		heap_slots__free(&p.slots);
		p = (struct heap_pool){ .addr = f->addr, .block_bytes = f->block_bytes, .left_out = true };
	}
	if (p.addr)
		put(r, &p);
}

/* The runs that FOUND[from..to) make, one after the other in the chunk; returns how many. */
static size_t make_items(struct reading *r, size_t from, size_t to)
{
	unsigned char *out = r->chunk;
	size_t cnt = 0;

	for (size_t i = from; i < to; i++) {
		const struct found_pool *f = &r->found.pools[i];
		struct remote_item *last = cnt ? &r->items[cnt - 1] : NULL;

		if (!f->bytes || f->left_out)
			continue;
		if (last && last->addr + last->size == f->addr && out == (unsigned char *)last->out + last->size)
			last->size += f->bytes;
		else
			r->items[cnt++] = (struct remote_item){ .addr = f->addr, .out = out, .size = f->bytes };
		out += r->found.pool_bytes;
	}
	return cnt;
}

static const struct remote_item *item_of(const struct reading *r, const struct remote_item *item, uint64_t addr)
{
	while (addr >= item->addr + item->size && item < r->items + CHUNK_POOLS)
		item++;
	return item;
}

static void read_chunk(struct reading *r, size_t from, size_t to)
{
	const struct remote_item *item = r->items;
	unsigned char *image = r->chunk;
	int err = remote__read_many(&r->h->py->mem, r->items, make_items(r, from, to));

	if (err)
		r->err = err;
	for (size_t i = from; i < to; i++) {
		const struct found_pool *f = &r->found.pools[i];

		if (r->err || !f->bytes || f->left_out) {
			keep_pool(r, f);
			continue;
		}
		item = item_of(r, item, f->addr);
		/* Part of the run is gone: this pool may be there still. */
		err = item->ok ? 0 : remote__read(&r->h->py->mem, f->addr, image, f->bytes);
		if (!err) {
			take_pool(r, f, image);
		} else if (err != -EFAULT) {
			r->err = err;
			keep_pool(r, f);
		}
		image += r->found.pool_bytes;
	}
}

static void read_pools(struct reading *r)
{
	size_t at_once = CHUNK_BYTES / r->found.pool_bytes, to;

	for (size_t from = 0; from < r->found.cnt; from = to) {
		to = from + at_once < r->found.cnt ? from + at_once : r->found.cnt;
		read_chunk(r, from, to);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void finish(struct reading *r)
{
	struct heap *h = r->h;

	for (; r->old_at < h->pool_cnt; r->old_at++)
		heap_slots__free(&h->pools[r->old_at].slots);
	free(h->pools);
	h->pools = r->pools;
	h->pool_cnt = r->pool_cnt;
	if (h->pool_cnt)
		h->pool_bytes = r->found.pool_bytes;
	h->stats.pool_bytes = r->found.pool_bytes;
	h->stats.pools_bytes = h->stats.pools * r->found.pool_bytes;
	h->stats.partial |= h->types.exhausted || r->err;
}

int heap__read(struct heap *h)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct heap_stats before = h->stats;
	uint64_t start_ns = cpu_ns();
	int err;

	if (!r)
		return -ENOMEM;
	r->h = h;
	h->stats = (struct heap_stats){ .readings = before.readings + 1 };
	err = heap__find_pools(h, &r->found);
	if (err)
		goto undo;
	r->chunk = malloc(CHUNK_BYTES);
	r->pools = malloc((r->found.cnt + 1) * sizeof(*r->pools));
	err = r->chunk && r->pools ? heap_books__begin(h) : -ENOMEM;
	if (err)
		goto undo;
	h->found = &r->found;
	read_pools(r);
	h->found = NULL;
	finish(r);
	err = heap_books__close(h);
	h->stats.cpu_ns = cpu_ns() - start_ns;
	if (!err)
		err = r->err ? r->err : h->pool_cnt ? 0 : -ENODATA;
	goto out;
undo:
	h->stats = before;
	free(r->pools);
out:
	free(r->chunk);
	free(r->found.pools);
	free(r->found.index);
	free(r);
	return err;
}
