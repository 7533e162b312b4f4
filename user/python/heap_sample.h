/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which pools of a heap are read when a part has to do. By a hash of the address and a seed: the same ones in the next reading, too. Pools of one block
 * size are a stratum; of each at least HEAP_SAMPLE_LEAST are read, as without some dozens of them nothing can be said of how much they differ.
 */
#ifndef HEAP_SAMPLE_H
#define HEAP_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct heap;
struct found_pools;

enum {
	HEAP_SAMPLE_LEAST = 128,
	HEAP_STRATA = 65, /* by block size / 8; 0 is free for the use of others */
};

/* Of all pools with live blocks. */
struct heap_stratum {
	uint64_t pools, live; /* LIVE: blocks, as the headers say */
};

/* Is what begins at ADDR among the FRACTION of all that is read? */
bool heap_sample__takes(uint64_t seed, uint64_t addr, double fraction);
/* Marks those that are left out. */
void heap_sample__choose(struct heap *h, struct found_pools *found);

#endif
