// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pool.h"

#include <errno.h>
#include <string.h>

struct pool_header {
	uint32_t count, padding;
	uint64_t freeblock, nextpool, prevpool;
	uint32_t arenaindex, szidx, nextoffset, maxnextoffset;
};
_Static_assert(sizeof(struct pool_header) == POOL_HEADER_BYTES, "as in every version");

/* arenas[] has twice as many places each time; no machine has memory for more. */
#define ARENAS_MAX (1U << 24)

/* Which block begins at LINK; POOL_BLOCKS_MAX: none that was ever in use. */
static uint32_t block_index(uint64_t link, uint64_t addr, const struct pool *p)
{
	uint64_t off = link - addr - POOL_HEADER_BYTES;
	uint32_t i;

	if (link < addr + POOL_HEADER_BYTES || off >= (uint64_t)p->carved * p->block_bytes)
		return POOL_BLOCKS_MAX;
	i = (uint32_t)off / p->block_bytes;
	return i * p->block_bytes == off ? i : POOL_BLOCKS_MAX;
}

/* Links of a pool in use; they stay as they were when it is full. A pool without live blocks may be the last in a list. */
static bool is_link(uint64_t pool, bool may_be_null)
{
	return pool ? pool >= 4096 && pool < 1ULL << 47 && !(pool & 7) : may_be_null;
}

bool pool__decode(const void *header, uint64_t addr, uint32_t pool_bytes, struct pool *out)
{
	struct pool_header h;
	uint32_t used;

	memcpy(&h, header, sizeof(h));
	if (h.maxnextoffset >= pool_bytes || pool_bytes - h.maxnextoffset > POOL_BLOCK_MAX_BYTES || h.szidx >= POOL_BLOCK_MAX_BYTES / 8)
		return false;
	*out = (struct pool){ .block_bytes = pool_bytes - h.maxnextoffset, .live = h.count, .arena = h.arenaindex, .first_free = POOL_BLOCKS_MAX };
	out->alignment = out->block_bytes / (h.szidx + 1);
	if ((out->alignment != 8 && out->alignment != 16) || out->alignment * (h.szidx + 1) != out->block_bytes)
		return false;
	out->capacity = (pool_bytes - POOL_HEADER_BYTES) / out->block_bytes;
	if (h.nextoffset < POOL_HEADER_BYTES || h.nextoffset > pool_bytes)
		return false;
	used = h.nextoffset - POOL_HEADER_BYTES;
	out->carved = used / out->block_bytes;
	/* The first allocation carves two blocks. */
	if (out->carved * out->block_bytes != used || out->carved < 2 || out->carved > out->capacity || h.count > out->carved)
		return false;
	if (h.arenaindex >= ARENAS_MAX || !is_link(h.nextpool, !h.count) || !is_link(h.prevpool, !h.count))
		return false;
	/* pymalloc_pool_extend() sets the list before the offset: what is read in between is a pool. */
	if (h.freeblock == addr + h.nextoffset && out->carved < out->capacity)
		out->first_free = out->carved;
	else if (h.freeblock)
		out->first_free = block_index(h.freeblock, addr, out);
	return !h.freeblock || out->first_free < POOL_BLOCKS_MAX;
}

int pool__free_blocks(const void *image, uint64_t addr, const struct pool *p, uint64_t *free)
{
	uint32_t i = p->first_free;
	uint64_t link;
	int cnt = 0;

	memset(free, 0, POOL_BLOCKS_MAX / 8);
	while (i < p->carved) {
		if (pool__is_free(free, i))
			return -EFAULT;
		free[i / 64] |= 1ULL << i % 64;
		cnt++;
		memcpy(&link, (const char *)image + POOL_HEADER_BYTES + i * p->block_bytes, sizeof(link));
		if (!link)
			return cnt;
		i = block_index(link, addr, p);
	}
	return p->first_free == POOL_BLOCKS_MAX ? 0 : -EFAULT;
}
