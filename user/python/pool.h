/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A pool of pymalloc, from its bytes alone: blocks of one size class behind a header. Objects/obmalloc.c, from 3.12 on
 * Include/internal/pycore_obmalloc.h: struct pool_header, the same 48 bytes in 2.7 and 3.6-3.14. All is checked, nothing is believed.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	POOL_HEADER_BYTES = 48,      /* POOL_OVERHEAD, whatever the alignment */
	POOL_SMALL_BYTES = 4096,     /* to 3.9, and where built without the radix tree */
	POOL_LARGE_BYTES = 16384,    /* 3.10+ */
	POOL_BLOCK_MAX_BYTES = 512,  /* SMALL_REQUEST_THRESHOLD */
	POOL_BLOCKS_MAX = 2048,      /* no pool has as many: (16384 - 48) / 8 */
};

struct pool {
	uint32_t block_bytes; /* of each block */
	uint32_t alignment;   /* 8 or 16: what size classes are multiples of */
	uint32_t capacity;    /* blocks that there is room for */
	uint32_t carved;      /* blocks [0, carved) were given out at least once or are in the free list */
	uint32_t live;        /* as the header says */
	uint32_t arena;       /* its arena's index, not checked */
	uint32_t first_free;  /* index, or POOL_BLOCKS_MAX: the list is empty; CARVED: just about to be carved */
};

/*
 * The header of a pool of POOL_BYTES at ADDR (aligned to that), POOL_HEADER_BYTES of it. false: no pool, or one that was never used. A
 * pool without a live block (live 0) may be in its arena's list of free ones.
 */
bool pool__decode(const void *header, uint64_t addr, uint32_t pool_bytes, struct pool *out);

/*
 * Follows the free list in IMAGE, the first bytes of the pool up to its carved end at least, and sets a bit per free block in FREE
 * (POOL_BLOCKS_MAX bits, cleared first). Returns how many; -EFAULT: it leads out of the pool, into the middle of a block or in a circle, as it may when it is read
 * while it changes; the bits found till then are set.
 */
int pool__free_blocks(const void *image, uint64_t addr, const struct pool *p, uint64_t *free);

static inline uint32_t pool__carved_end(const struct pool *p)
{
	return POOL_HEADER_BYTES + p->carved * p->block_bytes;
}

static inline bool pool__is_free(const uint64_t *free, uint32_t i)
{
	return free[i / 64] >> i % 64 & 1;
}

#endif
