// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap_sample.h"

#include <string.h>

#include "heap_state.h"

/* The finalizer of splitmix64. Once is not enough: of neighbours, of which runs of objects consist, it chooses more evenly than by chance. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

bool heap_sample__takes(uint64_t seed, uint64_t addr, double fraction)
{
	return (mix(mix(addr / PAGE_BYTES * 0x9e3779b97f4a7c15) ^ mix(seed)) >> 11) * 0x1p-53 < fraction;
}

void heap_sample__choose(struct heap *h, struct found_pools *found)
{
	double least;

	memset(h->strata, 0, sizeof(h->strata));
	for (size_t i = 0; i < found->cnt; i++) {
		const struct found_pool *f = &found->pools[i];

		h->strata[f->block_bytes / 8].pools++;
		h->strata[f->block_bytes / 8].live += f->live;
		h->stats.found_live_bytes += (uint64_t)f->live * f->block_bytes;
	}
	h->stats.found_pools = found->cnt;
	for (size_t i = 0; i < found->cnt && h->options.sample; i++) {
		struct found_pool *f = &found->pools[i];

		least = (double)HEAP_SAMPLE_LEAST / h->strata[f->block_bytes / 8].pools;
		f->left_out = f->bytes && !heap_sample__takes(h->options.seed, f->addr, h->options.sample > least ? h->options.sample : least);
	}
}
