// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is in the C library's heap. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census_state.h"
#include "libc_heap.h"
#include "pagemap.h"
#include "word.h"

enum {
	/* Objects/intobject.c, floatobject.c of 2.7: struct _intblock, _floatblock: a link, then as many as fit into 1000 bytes. */
	NUMBER_BLOCK_MIN_BYTES = 992,
	NUMBER_BLOCK_MAX_BYTES = 1032,
	NUMBERS_IN_BLOCK = 41,
	NUMBER_BYTES = 24,
};

/* Regions without PAGEMAP_SCAN, where a hole costs as much as memory. */
#define REGION_SPARE_BYTES (1ULL << 30)

struct large {
	struct census *c;
	struct libc_walk walk;
	struct pagemap *pages;
	struct proc_maps maps;
	uint64_t skipped_bytes; /* swapped out, or too large a region */
};

static bool add_range(struct census *c, struct census_range **list, size_t *cnt, size_t *capacity, uint64_t start, uint64_t end)
{
	size_t more = *capacity ? *capacity * 2 : 64;
	struct census_range *bigger;

	if (*cnt == *capacity) {
		bigger = realloc(*list, more * sizeof(*bigger));
		if (!bigger) {
			c->err = -ENOMEM;
			return false;
		}
		*list = bigger;
		*capacity = more;
	}
	(*list)[(*cnt)++] = (struct census_range){ start, end };
	return true;
}

/* A dead one's type is the link to the next dead one. */
static bool count_numbers(struct census *c, const struct libc_chunk *chunk)
{
	unsigned char block[8 + NUMBERS_IN_BLOCK * NUMBER_BYTES];
	uint64_t type = 0, first;
	uint32_t tag;

	if (c->py->major > 2 || chunk->bytes < NUMBER_BLOCK_MIN_BYTES || chunk->bytes > NUMBER_BLOCK_MAX_BYTES)
		return false;
	if (remote__read(&c->py->mem, chunk->addr, block, sizeof(block)))
		return false;
	for (int i = 0; i < NUMBERS_IN_BLOCK && !type; i++) {
		first = word(block, 8 + i * NUMBER_BYTES + 8);
		if (first && (first == c->int_type || first == c->py->types.float_))
			type = first;
	}
	tag = type ? heap_types__tag(&c->heap->types, type) : TAG_NONE;
	/* They have nothing in front of them, whatever the type's flags say. */
	if (tag == TAG_NONE || c->heap->types.types[tag].shape.heads_bytes)
		return false;
	for (int i = 0; i < NUMBERS_IN_BLOCK; i++) {
		const unsigned char *number = block + 8 + i * NUMBER_BYTES;

		if (word(number, 8) == type && word(number, 0) > 0 && word(number, 0) < SHAPE_REFCNT_MAX)
			census__count(c, &(struct census_object){ chunk->addr + (number - block), number, NUMBER_BYTES, tag, NUMBER_BYTES, false, 0, false });
	}
	return true;
}

static void add_mapped(struct census *c, const struct libc_chunk *chunk)
{
	uint64_t start = chunk->addr - LIBC_CHUNK_HEADER_BYTES;
	struct census_range *last = c->mapped_cnt ? &c->mapped[c->mapped_cnt - 1] : NULL;

	if (last && last->end == start)
		last->end = chunk->addr + chunk->bytes;
	else
		add_range(c, &c->mapped, &c->mapped_cnt, &c->mapped_capacity, start, chunk->addr + chunk->bytes);
}

void census__see_chunk(void *census, const struct libc_chunk *chunk)
{
	struct census *c = census;
	uint32_t size = chunk->bytes < UINT32_MAX ? chunk->bytes : UINT32_MAX, off = 0, tag = TAG_BUFFER;
	bool is_small = c->stats.has_pools && chunk->bytes <= POOL_BLOCK_MAX_BYTES;

	if (chunk->mapped)
		add_mapped(c, chunk);
	if (c->err || !census_sample__takes_chunk(c, chunk->addr, chunk->bytes))
		return;
	if (!is_small && count_numbers(c, chunk))
		return;
	if (!is_small)
		tag = heap_types__of_block(&c->heap->types, chunk->head, size, &off);
	if (c->observer)
		c->observer->chunk(c->observer->ctx, chunk, tag, off);
	if (tag < TAG_FIRST)
		return;
	if (c->heap->types.types[tag].shape.gc)
		census__note_found(c, chunk->addr + off);
	census_sample__count(c, &(struct census_object){
				 .addr = chunk->addr + off,
				 .header = (const unsigned char *)chunk->head + off,
				 .available = chunk->head_bytes - off,
				 .tag = tag,
				 .bytes = chunk->bytes,
				 .hooked = off > c->heap->types.types[tag].shape.heads_bytes,
			 });
}

/* -ENODATA: part of it is swapped out, and would have to be brought back to get past it. */
static int check_swap(struct large *l, uint64_t start, uint64_t end)
{
	struct page_range range;
	int got;

	if (!l->c->status.swap_bytes)
		return 0;
	pagemap__look_at(l->pages, start & ~(uint64_t)(PAGE_BYTES - 1), end);
	while ((got = pagemap__next(l->pages, &range)) > 0)
		if (range.swapped)
			return -ENODATA;
	return got;
}

/* Those that exist. */
static int count_pages(struct large *l, uint64_t start, uint64_t end, uint64_t *bytes)
{
	struct page_range range;
	int got;

	pagemap__look_at(l->pages, start & ~(uint64_t)(PAGE_BYTES - 1), end);
	while ((got = pagemap__next(l->pages, &range)) > 0)
		*bytes += range.swapped && l->c->status.swap_bytes ? 0 : range.end - range.start;
	return got;
}

static int walk_run(struct large *l, uint64_t start, uint64_t end)
{
	struct census *c = l->c;
	int err = check_swap(l, start, end);

	if (err == -ENODATA)
		l->skipped_bytes += end - start;
	if (err)
		return err == -ENODATA ? 0 : err;
	if (!add_range(c, &c->runs, &c->run_cnt, &c->run_capacity, start, end))
		return -ENOMEM;
	c->libc_used_bytes -= l->walk.used_bytes;
	err = libc_walk__run(&l->walk, start, end);
	c->libc_used_bytes += l->walk.used_bytes;
	return err ? err : count_pages(l, start, end, &c->libc_present_bytes);
}

/* Pages that exist, are not swapped out and not in a pool; *AT is where it goes on, maybe behind END. */
static int look_for_mapped(struct large *l, uint64_t *at, uint64_t end, uint64_t limit)
{
	const struct heap *h = l->c->heap;
	struct page_range range;
	uint64_t from, to;
	size_t pool;
	int got, err;

	pagemap__look_at(l->pages, *at, end);
	while ((got = pagemap__next(l->pages, &range)) > 0) {
		if (range.swapped && l->c->status.swap_bytes) {
			l->skipped_bytes += range.end - range.start;
			continue;
		}
		from = range.start > *at ? range.start : *at;
		pool = heap__first_pool_from(h, from);
		while (from < range.end) {
			to = pool < h->pool_cnt && h->pools[pool].addr < range.end ? h->pools[pool].addr : range.end;
			if (from < to) {
				err = libc_walk__mapped(&l->walk, from, to, limit, at);
				if (err)
					return err;
				from = *at;
			}
			while (pool < h->pool_cnt && h->pools[pool].addr < from)
				pool++;
			if (pool < h->pool_cnt && h->pools[pool].addr == from)
				from += h->pool_bytes;
		}
	}
	if (*at < end)
		*at = end;
	return got;
}

static uint64_t align_up(uint64_t addr, uint64_t to)
{
	return (addr + to - 1) & ~(to - 1);
}

static bool is_anonymous(const struct proc_map *m)
{
	return m->r && m->w && !m->inode && (!m->path || !strncmp(m->path, "[anon:", 6));
}

static bool is_heap(const struct proc_map *m)
{
	return m->path && !strcmp(m->path, "[heap]") && m->r && m->w;
}

static bool is_out_of_proportion(const struct census *c, const struct pagemap *pages, const struct proc_map *m)
{
	return !pages->scan && m->end - m->start > 4 * c->status.rss_bytes + REGION_SPARE_BYTES;
}

/*
 * Moves *AT to the first page from there on that exists: one that does not must not be read, as that gives the process a page table for it, and
 * of terabytes that are only reserved (sanitizers, other runtimes) gigabytes of them. Nor those that are swapped out, which are added up.
 * 1; 0: there is none before END; or -errno.
 */
static int find_page(const struct census *c, struct pagemap *pages, uint64_t *at, uint64_t end, uint64_t *swapped_bytes)
{
	struct page_range range;
	int got;

	pagemap__look_at(pages, *at, end);
	while ((got = pagemap__next(pages, &range)) > 0) {
		if (range.swapped && c->status.swap_bytes) {
			*swapped_bytes += range.end - range.start;
			continue;
		}
		if (range.start > *at)
			*at = range.start;
		return 1;
	}
	return got;
}

static int walk_map(struct large *l, const struct proc_map *m)
{
	uint64_t at = m->start, start, end, border;
	int err = 0, got;

	if (!l->c->stats.has_libc)
		return 0;
	if (is_heap(m))
		return libc_walk__is_main(&l->walk, m->start, m->end) ? walk_run(l, m->start, m->end) : 0;
	if (!is_anonymous(m))
		return 0;
	if (is_out_of_proportion(l->c, l->pages, m)) {
		l->skipped_bytes += m->end - m->start;
		return 0;
	}
	while (at < m->end && !err && !l->c->err) {
		got = find_page(l->c, l->pages, &at, m->end, &l->skipped_bytes);
		if (got <= 0)
			return got;
		if (libc_walk__is_arena(&l->walk, at, m->end, &start, &end)) {
			err = walk_run(l, start, end);
			at = end;
			continue;
		}
		border = (at & ~(LIBC_ARENA_ALIGN - 1)) + LIBC_ARENA_ALIGN;
		err = look_for_mapped(l, &at, border < m->end ? border : m->end, m->end);
	}
	return err;
}

static int walk_libc(struct large *l)
{
	struct census *c = l->c;
	uint64_t end = 0;
	int err = 0;

	for (size_t i = 0; i < l->maps.cnt && !err && !c->err; i++) {
		const struct proc_map *m = &l->maps.maps[i];

		if (m->start < end || m->end < m->start)
			continue;
		end = m->end;
		err = walk_map(l, m);
	}
	for (size_t i = 0; i < c->mapped_cnt && !err; i++)
		err = count_pages(l, c->mapped[i].start, c->mapped[i].end, &c->mapped_bytes);
	return err;
}

static void tell(struct large *l)
{
	struct census_stats *s = &l->c->stats;

	s->retried += l->walk.retried;
	s->read_bytes += l->walk.used_bytes + l->walk.free_bytes;
	if (s->partial)
		return;
	s->partial = true;
	if (!s->has_libc)
		snprintf(s->note, sizeof(s->note), "its C library's heap is not glibc's: %s that the collector does not track (str, bytes, int) and the "
			 "buffers of large containers are not seen", s->has_pools ? "objects over 512 bytes" : "objects");
	else if (census__has_strangers(l->c))
		snprintf(s->note, sizeof(s->note), "%llu objects are in memory of an allocator that is neither pymalloc nor glibc's: what the collector does not "
			 "track there (str, bytes, int) and buffers are not seen", (unsigned long long)l->c->linked_cnt);
	else if (l->walk.lost_bytes)
		snprintf(s->note, sizeof(s->note), "%llu KiB of the C library's heap could not be read as such", (unsigned long long)l->walk.lost_bytes >> 10);
	else if (l->skipped_bytes)
		snprintf(s->note, sizeof(s->note), "%llu KiB are swapped out, or in a region out of all proportion", (unsigned long long)l->skipped_bytes >> 10);
	else
		s->partial = false;
}

bool census__in_heap(const struct census *c, uint64_t addr)
{
	size_t low = 0, high = c->heap_cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (addr < c->heaps[mid].start)
			high = mid;
		else if (addr >= c->heaps[mid].end)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

static void see_nothing(void *ctx, const struct libc_chunk *chunk)
{
	(void)ctx;
	(void)chunk;
}

static int find_arenas(struct census *c, struct libc_walk *walk, struct pagemap *pages, const struct proc_map *m)
{
	uint64_t at = m->start, start, end, swapped_bytes = 0;
	int got = 0;

	while (!c->err && (got = find_page(c, pages, &at, m->end, &swapped_bytes)) > 0) {
		if (libc_walk__is_arena(walk, at, m->end, &start, &end))
			add_range(c, &c->heaps, &c->heap_cnt, &c->heap_capacity, start, end);
		/* The first page of a heap always exists. */
		at = align_up(at + 1, LIBC_ARENA_ALIGN);
		if (at >= m->end)
			return 0;
	}
	return c->err ? c->err : got;
}

static int find_heaps(struct census *c, struct libc_walk *walk, struct pagemap *pages, const struct proc_map *m)
{
	if (is_heap(m) && libc_walk__is_main(walk, m->start, m->end)) {
		c->stats.has_libc = true;
		add_range(c, &c->heaps, &c->heap_cnt, &c->heap_capacity, m->start, m->end);
	}
	return is_anonymous(m) && !is_out_of_proportion(c, pages, m) ? find_arenas(c, walk, pages, m) : 0;
}

int census__find_libc(struct census *c)
{
	struct pagemap *pages = malloc(sizeof(*pages));
	struct libc_walk walk = { 0 };
	struct proc_maps maps;
	int err = pages ? process__maps(&c->py->proc, &maps) : -ENOMEM;

	if (err)
		goto out;
	err = process__open_pagemap(&c->py->proc, pages);
	if (err)
		goto out_maps;
	err = libc_walk__init(&walk, &c->py->mem, see_nothing, NULL);
	for (size_t i = 0; i < maps.cnt && !err && !c->err; i++)
		if (!i || maps.maps[i].start >= maps.maps[i - 1].end)
			err = find_heaps(c, &walk, pages, &maps.maps[i]);
	libc_walk__free(&walk);
	pagemap__close(pages);
out_maps:
	proc_maps__free(&maps);
out:
	free(pages);
	return err == -EACCES ? -EPERM : err ? err : c->err;
}

int census__read_large(struct census *c)
{
	struct large l = { .c = c, .pages = malloc(sizeof(*l.pages)) };
	int err = l.pages ? process__maps(&c->py->proc, &l.maps) : -ENOMEM;

	if (err)
		goto out;
	err = process__open_pagemap(&c->py->proc, l.pages);
	if (err)
		goto out_maps;
	err = libc_walk__init(&l.walk, &c->py->mem, census__see_chunk, c);
	c->walk = &l.walk;
	if (!err)
		err = walk_libc(&l);
	c->walk = NULL;
	census_sample__end_stretch(c);
	libc_walk__free(&l.walk);
	if (!err && !c->err && !c->status.swap_bytes)
		err = census__follow_links(c);
	tell(&l);
	pagemap__close(l.pages);
out_maps:
	proc_maps__free(&l.maps);
out:
	free(l.pages);
	return err ? err : c->err;
}
