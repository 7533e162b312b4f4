/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Synthetic histories for the tests of the verdict. */
#ifndef SERIES_H
#define SERIES_H

#include <math.h>
#include <stdint.h>

#include "verdict.h"

#define TICKS_PER_INTERVAL 4
#define TICK_NS 250000000ULL

struct series {
	struct point points[POINTS_MAX];
	size_t cnt;
	uint32_t ticks;
};

static inline void series__add(struct series *s, double value)
{
	if (s->cnt == POINTS_MAX)
		s->cnt = points__thin(s->points, s->cnt);
	s->ticks++;
	s->points[s->cnt++] =
		point__of(s->ticks * TICK_NS, (s->ticks - 1) / TICKS_PER_INTERVAL + 1, value < 0 ? 0 : (int64_t)llround(value));
}

static inline enum verdict series__verdict(const struct series *s)
{
	struct evidence e = {.points = s->points, .cnt = s->cnt};

	return verdict__of(&e);
}

/* splitmix64: the same numbers everywhere */
static inline uint64_t random__next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* In [0, 1). */
static inline double random__uniform(uint64_t *state)
{
	return (double)(random__next(state) >> 11) / 9007199254740992.0;
}

static inline double random__normal(uint64_t *state)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += random__uniform(state);
	return sum - 6;
}

static inline int random__below(uint64_t *state, int n)
{
	return (int)(random__uniform(state) * n);
}

static inline int random__poisson(uint64_t *state, double mean)
{
	double limit = exp(-mean), p = random__uniform(state);
	int k = 0;

	while (p > limit) {
		p *= random__uniform(state);
		k++;
	}
	return k;
}

#endif
