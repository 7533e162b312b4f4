/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heap.c answers from and a reading (heap_find.c, heap_read.c, heap_books.c) fills. */
#ifndef HEAP_STATE_H
#define HEAP_STATE_H

#include "heap.h"
#include "heap_sample.h"
#include "heap_slots.h"
#include "heap_types.h"
#include "pool.h"

enum {
	PAGE_BYTES = 4096,
	SINCE_NEXT = 0, /* allocated anew since the last reading */
	SINCE_FIRST = 1,
	SINCE_END = 65536,
};

/* Of a pool with live blocks; one that is not live has tag TAG_NONE. SINCE of a slot is an index into SINCE_READING. */
struct heap_pool {
	uint64_t addr;
	struct heap_slots slots;
	uint16_t block_bytes;
	bool left_out; /* of the sample: nothing is known of its blocks */
	uint32_t arena; /* its index */
};

/* A live block and what is in it, while it is read. TAG: of its object, which begins OBJECT_OFF bytes into it, or TAG_BUFFER. */
struct heap_seen {
	uint64_t addr;
	const void *content; /* all of it */
	uint32_t bytes, tag, object_off;
	uint32_t since; /* as in heap_block */
};

struct found_pools;

struct heap {
	const struct py_interp *py;
	struct heap_options options;
	uint32_t pool_bytes; /* 0: not known yet */
	uint32_t alignment; /* of blocks, 8 or 16; 0: not known yet */
	struct heap_pool *pools; /* by address */
	size_t pool_cnt;
	struct heap_types types;
	struct heap_count buffers[POOL_BLOCK_MAX_BYTES / 8 + 1]; /* by their size / 8 */
	struct heap_kind *kinds;
	size_t kind_cnt;
	struct heap_stats stats;
	uint32_t *since_reading; /* [since]: number of the reading; only as many as there were */
	uint32_t since_now, since_capacity, since_end;
	/* Is told of each live block; NULL: nobody wants to know. */
	void (*see)(void *ctx, const struct heap_seen *seen);
	void *see_ctx;
	/* And, behind its blocks, of each pool that was read; NULL: nobody wants to know. */
	void (*see_pool)(void *ctx, uint32_t block_bytes, uint32_t live);
	struct heap_stratum strata[HEAP_STRATA]; /* by block size / 8, of the last reading */
	const struct found_pools *found; /* while SEE is called, else NULL */
};

struct found_pool {
	uint64_t addr;
	uint32_t bytes; /* to be read, whole pages; 0: cannot be looked at, stays as it was */
	uint32_t alignment;
	uint32_t block_bytes;
	uint32_t live; /* as the header says */
	bool left_out; /* of the sample */
};

struct found_pools {
	struct found_pool *pools; /* by address; owned by the caller */
	size_t cnt, capacity;
	uint32_t pool_bytes;
	/* By a hash of the address, which pool + 1; 0: none. Owned by the caller; NULL, unless h->see is set. */
	uint32_t *index;
	uint32_t index_bits;
};

static inline uint32_t found_pools__hash(const struct found_pools *f, uint64_t addr)
{
	return (addr / POOL_SMALL_BYTES * 0x9e3779b97f4a7c15) >> (64 - f->index_bits);
}

/* The pool with live blocks that ADDR is in; NULL: none. */
static inline const struct found_pool *found_pools__of(const struct found_pools *f, uint64_t addr)
{
	uint32_t i;

	if (!f->index)
		return NULL;
	addr &= ~(uint64_t)(f->pool_bytes - 1);
	for (i = found_pools__hash(f, addr); f->index[i]; i = (i + 1) & ((1U << f->index_bits) - 1))
		if (f->pools[f->index[i] - 1].addr == addr)
			return &f->pools[f->index[i] - 1];
	return NULL;
}

/* Which of the pools of the last reading is the first that begins at ADDR or behind; their count: none. */
static inline size_t heap__first_pool_from(const struct heap *h, uint64_t addr)
{
	size_t low = 0, high = h->pool_cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (h->pools[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
/*
 * The pool that ADDR is in, and where: how large its blocks are, how far behind the begin of one ADDR is. Of one that the sample leaves out
 * nobody knows whether that is live; else false where it is not.
 */
bool heap__place(const struct heap *h, uint64_t addr, uint32_t *block_bytes, uint32_t *behind);

static inline uint32_t whole_pages(uint32_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* heap_find.c: which pools have live blocks now. Counts in h->stats what else there was. 0 or -errno; OUT is set in any case. */
int heap__find_pools(struct heap *h, struct found_pools *out);

/* heap_books.c */
int heap_books__begin(struct heap *h);
void heap_books__count(struct heap *h, const struct heap_pool *p);
int heap_books__close(struct heap *h);

#endif
