/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process has beside pymalloc's heap, in bytes, and how much of that samples of large blocks may stand for: pure. Nobody lists those blocks; but all together
 * cannot be more than the memory that was taken.
 */
#ifndef LARGE_H
#define LARGE_H

#include <stdbool.h>
#include <stdint.h>

struct large {
	/* in: memory gained since the attach */
	int64_t gained;
	/* in: what samples stand for; buffers that realloc had in hand stand for themselves (CERTAIN) */
	double sampled, certain;
	/* in: of buffers that are gone from where they were, and of those, what realloc had in hand */
	double ghosts, moved;
	/* out, of large__weigh(): by what samples and ghosts are to be multiplied */
	double factor, ghost_factor, moved_factor;
	/* state */
	int64_t highest;
	uint64_t rose_ns;
};

/* At a reading: sums are 0, it has gained so much. */
void large__begin(struct large *l, int64_t gained);
/* The samples cannot stand for more than the process has taken; what is left of that is where buffers grew and moved. */
void large__weigh(struct large *l);
/* Has it taken more than libc may have had anyway, and lately? */
bool large__rises(struct large *l, uint64_t now_ns);
/* Do the samples stand for most of it? */
bool large__is_explained(const struct large *l);
/* For a part at least? Then the rest is less than what they would be thrown away for. */
bool large__is_known(const struct large *l);

#endif
