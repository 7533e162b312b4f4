/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The falls in a history: which are teeth of a saw, which are churn. */
#ifndef DROPS_H
#define DROPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "point.h"

/* From a peak to the trough after it. */
struct drop {
	double size;
	bool returned;        /* gave back half or more of all that had been gained until then */
	uint64_t start_ns;    /* of the rise before it */
	uint64_t trough_ns;
	size_t trough;        /* index of its point */
};

#define DROPS_MAX (2 * POINTS_MAX)

struct drops {
	struct drop drops[DROPS_MAX]; /* oldest first */
	size_t cnt;
	double deepest;
};

/* All falls that are at least SHARE of the whole range of the values. At most the newest POINTS_MAX points are looked at. */
void drops__find(struct drops *d, const struct point *points, size_t cnt, double share);

#endif
