/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does this leak? A pure function from the history of one number (bytes outstanding) to a verdict.
 *
 * (the rule: being written)
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "point.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_STABLE, VERDICT_WARMING, VERDICT_GROWING };
const char *verdict__name(enum verdict v); /* "growing": as in JSON */

#define VERDICT_MIN_INTERVALS 5
#define VERDICT_MIN_TICKS 8
#define VERDICT_LONG_INTERVALS 12

struct evidence {
	const struct point *points; /* oldest first */
	size_t cnt;
	/*
	 * The process was at least this big before (its RSS has not passed the peak from before the attach): what looks like growth
	 * may be the refill of what it had.
	 */
	bool been_here;
};

enum verdict verdict__of(const struct evidence *e);

#endif
