// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where pools are: headers of all that may be one are read, many at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap_state.h"
#include "pagemap.h"
#include "procfs.h"

enum { HEADERS_CNT = 1024 };

/* Regions without PAGEMAP_SCAN, where a hole costs as much as memory. */
#define REGION_SPARE_BYTES (1ULL << 30)

/* How much memory is looked at for pools, for each byte of pools that may be read. */
#define LOOK_FACTOR 8

struct look {
	struct heap *h;
	struct found_pools *out;
	struct proc_status status;
	uint64_t looked_bytes, wanted_bytes;
	int err;
	uint64_t candidates[HEADERS_CNT];
	size_t candidate_cnt;
	unsigned char headers[HEADERS_CNT][POOL_HEADER_BYTES];
	struct remote_item items[HEADERS_CNT];
};

static bool add_found(struct look *r, const struct found_pool *f)
{
	size_t capacity = r->out->capacity ? r->out->capacity * 2 : 4096;
	struct found_pool *bigger;

	if (r->out->cnt == r->out->capacity) {
		bigger = realloc(r->out->pools, capacity * sizeof(*bigger));
		if (!bigger) {
			r->err = -ENOMEM;
			return false;
		}
		r->out->pools = bigger;
		r->out->capacity = capacity;
	}
	r->out->pools[r->out->cnt++] = *f;
	return true;
}

static bool is_known(const struct look *r, uint64_t addr)
{
	size_t i = heap__first_pool_from(r->h, addr);

	return r->h->pool_bytes == r->out->pool_bytes && i < r->h->pool_cnt && r->h->pools[i].addr == addr;
}

/* What is not looked at stays as it was known. */
static void keep_known(struct look *r, uint64_t start, uint64_t end)
{
	const struct heap *h = r->h;

	if (h->pool_bytes != r->out->pool_bytes)
		return;
	for (size_t i = heap__first_pool_from(h, start); i < h->pool_cnt && h->pools[i].addr < end && !r->err; i++)
		add_found(r, &(struct found_pool){ .addr = h->pools[i].addr, .block_bytes = h->pools[i].block_bytes });
}

static void look_at_header(struct look *r, const void *header, uint64_t addr)
{
	struct found_pool f = { .addr = addr };
	struct pool p;

	if (!pool__decode(header, addr, r->out->pool_bytes, &p)) {
		/* Of a pool that was here before it may be a copy made in the middle of a change: then a later one tells. */
		if (!is_known(r, addr))
			return;
		p = (struct pool){ .live = 1, .alignment = r->h->alignment };
	}
	if (!p.live) {
		r->h->stats.empty_pools++;
		return;
	}
	if (r->wanted_bytes + r->out->pool_bytes > r->h->options.max_bytes) {
		r->h->stats.partial = true;
		keep_known(r, addr, addr + 1);
		return;
	}
	f.bytes = whole_pages(pool__carved_end(&p));
	f.alignment = p.alignment;
	f.block_bytes = p.block_bytes;
	f.live = p.live;
	if (!add_found(r, &f))
		return;
	r->wanted_bytes += r->out->pool_bytes;
	r->h->stats.carved_bytes += f.bytes;
}

static void look_at_candidates(struct look *r)
{
	int err;

	for (size_t i = 0; i < r->candidate_cnt; i++)
		r->items[i] = (struct remote_item){ .addr = r->candidates[i], .out = r->headers[i], .size = POOL_HEADER_BYTES };
	err = remote__read_many(&r->h->py->mem, r->items, r->candidate_cnt);
	if (err)
		r->err = err;
	for (size_t i = 0; i < r->candidate_cnt && !r->err; i++)
		if (r->items[i].ok)
			look_at_header(r, r->headers[i], r->candidates[i]);
	r->candidate_cnt = 0;
}

static void skip(struct look *r, uint64_t start, uint64_t end)
{
	uint64_t pool = start & ~(uint64_t)(r->out->pool_bytes - 1);

	look_at_candidates(r);
	/* A pool whose first page is there and another one is not. */
	if (r->out->cnt && r->out->pools[r->out->cnt - 1].addr == pool) {
		if (r->out->pools[r->out->cnt - 1].bytes)
			r->out->cnt--;
		else
			pool += r->out->pool_bytes;
	}
	r->h->stats.skipped_bytes += end - start;
	r->h->stats.partial = true;
	keep_known(r, pool, end);
}

static void look_at_range(struct look *r, const struct page_range *range)
{
	uint64_t addr = (range->start + r->out->pool_bytes - 1) & ~(uint64_t)(r->out->pool_bytes - 1);

	if (range->swapped && r->status.swap_bytes) {
		skip(r, range->start, range->end);
		return;
	}
	for (; addr < range->end && !r->err; addr += r->out->pool_bytes) {
		r->looked_bytes += r->out->pool_bytes;
		if (r->looked_bytes / LOOK_FACTOR > r->h->options.max_bytes) {
			skip(r, addr, range->end);
			return;
		}
		r->candidates[r->candidate_cnt++] = addr;
		if (r->candidate_cnt == HEADERS_CNT)
			look_at_candidates(r);
	}
}

static bool may_have_arenas(const struct proc_map *m)
{
	return m->r && m->w && !m->inode && (!m->path || !strncmp(m->path, "[anon:", 6));
}

static void look_at_region(struct look *r, struct pagemap *pages, const struct proc_map *m)
{
	struct page_range range;
	int got = 0;

	if (!pages->scan && m->end - m->start > 4 * r->status.rss_bytes + REGION_SPARE_BYTES) {
		skip(r, m->start, m->end);
		return;
	}
	pagemap__look_at(pages, m->start, m->end);
	while (!r->err && (got = pagemap__next(pages, &range)) > 0)
		look_at_range(r, &range);
	if (!r->err && got < 0)
		r->err = got;
}

static void look(struct look *r, uint32_t pool_bytes, struct pagemap *pages, const struct proc_maps *maps)
{
	uint64_t end = 0;

	r->out->pool_bytes = pool_bytes;
	r->h->stats.empty_pools = r->h->stats.skipped_bytes = r->h->stats.carved_bytes = 0;
	for (size_t i = 0; i < maps->cnt && !r->err; i++) {
		const struct proc_map *m = &maps->maps[i];

		if (m->start < end || m->end < m->start)
			continue;
		end = m->end;
		if (may_have_arenas(m))
			look_at_region(r, pages, m);
	}
	if (!r->err)
		look_at_candidates(r);
}

/* Of a process that has begun to end nothing is found, and no error tells. */
static void check_that_it_lives(struct look *r)
{
	struct proc_status now;
	int err = process__status(&r->h->py->proc, &now);

	if (err || !now.rss_bytes)
		r->err = err ? err : -ESRCH;
}

/* Pools are 4 KiB to 3.9, and later where built without WITH_PYMALLOC_RADIX_TREE. */
static void find_pools(struct look *r)
{
	const struct py_interp *py = r->h->py;
	struct pagemap *pages;
	struct proc_maps maps;

	pages = malloc(sizeof(*pages));
	if (!pages) {
		r->err = -ENOMEM;
		return;
	}
	r->err = process__maps(&py->proc, &maps);
	if (r->err)
		goto out;
	r->err = process__status(&py->proc, &r->status);
	if (!r->err)
		r->err = process__open_pagemap(&py->proc, pages);
	if (r->err)
		goto out_maps;
	if (r->h->pool_bytes)
		look(r, r->h->pool_bytes, pages, &maps);
	else if (py->major == 3 && py->minor >= 10)
		look(r, POOL_LARGE_BYTES, pages, &maps);
	if (!r->h->pool_bytes && !r->err && !r->out->cnt)
		look(r, POOL_SMALL_BYTES, pages, &maps);
	pagemap__close(pages);
	if (!r->err)
		check_that_it_lives(r);
out_maps:
	proc_maps__free(&maps);
out:
	if (r->err == -EACCES)
		r->err = -EPERM;
	free(pages);
}

/* Size classes are multiples of 8 or of 16 in the whole process: what says otherwise is no pool. */
static void drop_odd_ones(struct look *r)
{
	size_t by_alignment[2] = { 0 }, cnt = 0;

	for (size_t i = 0; i < r->out->cnt; i++)
		if (r->out->pools[i].bytes)
			by_alignment[r->out->pools[i].alignment / 16]++;
	if (!r->h->alignment && by_alignment[0] + by_alignment[1])
		r->h->alignment = by_alignment[1] >= by_alignment[0] ? 16 : 8;
	for (size_t i = 0; i < r->out->cnt; i++)
		if (!r->out->pools[i].bytes || r->out->pools[i].alignment == r->h->alignment)
			r->out->pools[cnt++] = r->out->pools[i];
	r->out->cnt = cnt;
}

static void make_index(struct look *r)
{
	struct found_pools *f = r->out;
	uint32_t at;

	for (f->index_bits = 8; 1ULL << f->index_bits < 2 * f->cnt; f->index_bits++)
		;
	f->index = calloc(1ULL << f->index_bits, sizeof(*f->index));
	if (!f->index) {
		r->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < f->cnt; i++) {
		at = found_pools__hash(f, f->pools[i].addr);
		while (f->index[at])
			at = (at + 1) & ((1U << f->index_bits) - 1);
		f->index[at] = i + 1;
	}
}

int heap__find_pools(struct heap *h, struct found_pools *out)
{
	struct look *r = calloc(1, sizeof(*r));
	int err;

	*out = (struct found_pools){ 0 };
	if (!r)
		return -ENOMEM;
	r->h = h;
	r->out = out;
	find_pools(r);
	if (!r->err) {
		drop_odd_ones(r);
		heap_sample__choose(h, out);
	}
	if (!r->err && h->see)
		make_index(r);
	err = r->err;
	free(r);
	return err;
}
