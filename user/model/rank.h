/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The order of rows: who is to be looked at first. */
#ifndef RANK_H
#define RANK_H

#include <stddef.h>

#include "verdict.h"

struct growth_opts;
struct row;

struct rank_item {
	const struct row *row;
	enum verdict verdict;
	double gain;
	/* filled by rank__sort: with what the row owns */
	double weight;
	int class;
};

/*
 * Growing, then warming and unknown, then stable; within these by gain. A row of objects is given the gain of the buffers which its
 * type owns on the same stack, so that `dict` comes before its `dict keys`; not their verdict: one that is known too short a
 * time, or does not grow, must not hide a buffer that does.
 */
void rank__sort(struct rank_item *items, size_t cnt, const struct growth_opts *opts);

/* Does an object of this type own buffers of that use? 2: by its nature; 1: maybe, through its attributes; 0: no. */
int type__owns(const char *type, const char *buffer);

#endif
