/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The history of one number as points, in bounded memory, and the measures taken of it. All pure. */
#ifndef POINT_H
#define POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One tick, or several neighbours merged; then nothing that fell inside is lost. */
struct point {
	uint64_t time_ns;  /* of the last tick merged */
	int64_t min, max, last;
	int64_t drop;      /* the deepest fall inside, from a value to a later one */
	uint32_t ticks;    /* how many were merged */
	uint32_t interval; /* number of the report interval of the last tick, from 1 */
};

#define POINTS_MAX 64

struct point point__of(uint64_t time_ns, uint32_t interval, int64_t value);
/* A followed by B. */
struct point point__merge(const struct point *a, const struct point *b);
/*
 * Merges one pair of neighbours: the two oldest of the most frequent size. So sizes are powers of two, the newest points stay
 * single ticks, and the history reaches back for as long as there was one. Returns the new count, cnt - 1 for cnt > 1.
 */
size_t points__thin(struct point *points, size_t cnt);

/* What was gained and not given back: the rise of the lower envelope, in the unit of the values; may be negative. */
double points__gain(const struct point *points, size_t cnt);
/* Theil-Sen: the median of the slopes between all pairs, in units per second; 0 for less than 2. At most the newest POINTS_MAX. */
double points__slope(const struct point *points, size_t cnt);
/* Mann-Kendall's Z with correction for ties: how many standard deviations the rise is above none. */
double points__trend(const struct point *points, size_t cnt);
/* Standard deviation of the noise around the trend, robust (median of deviations of the steps); at most the newest POINTS_MAX. */
double points__noise(const struct point *points, size_t cnt);
/* Of what is left when the trend is taken away, with itself one point later: 0 for independent values, towards 1 for slow waves. */
double points__autocorrelation(const struct point *points, size_t cnt);
/* Where the rise to the last value began: the last point whose lowest is in the lowest tenth of it. */
size_t points__onset(const struct point *points, size_t cnt);
/* The lowest value between two times (after FROM, up to TO); INT64_MAX if there is none. */
int64_t points__min(const struct point *points, size_t cnt, uint64_t from_ns, uint64_t to_ns);

#endif
