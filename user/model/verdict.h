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

enum verdict { VERDICT_UNKNOWN, VERDICT_STABLE, VERDICT_WARMING, VERDICT_GROWING };
const char *verdict__name(enum verdict v); /* "growing": as in JSON */

#define VERDICT_MIN_INTERVALS 5
#define VERDICT_MIN_TICKS 8
#define VERDICT_LONG_INTERVALS 12

/* One tick, or several neighbours merged; then nothing that fell inside is lost. */
struct point {
	uint64_t time_ns;  /* of the last tick merged */
	int64_t min, max, last;
	int64_t drop;      /* the deepest fall inside, from a value to a later one */
	uint32_t ticks;    /* how many were merged */
	uint32_t interval; /* number of the report interval of the last tick, from 1 */
};

struct point point__of(uint64_t time_ns, uint32_t interval, int64_t value);
/* A followed by B. */
struct point point__merge(const struct point *a, const struct point *b);

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

/* What was gained and not given back: the rise of the lower envelope, in the unit of the values; may be negative. */
double verdict__gain(const struct point *points, size_t cnt);
/* Theil-Sen: the median of the slopes between all pairs of points, in units per second; 0 for less than 2 points. */
double verdict__slope(const struct point *points, size_t cnt);

#endif
