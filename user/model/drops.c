// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "drops.h"

/* A zigzag over the values: a leg turns when the value has come back by the threshold. */
struct zigzag {
	struct drops *d;
	double threshold;
	double base; /* the lowest before the peak */
	double peak, trough;
	uint64_t start_ns, trough_ns;
	size_t trough_at;
	bool falling;
};

static void zigzag__close(struct zigzag *z)
{
	struct drop *drop;

	z->falling = false;
	if (z->d->cnt == DROPS_MAX) {
		memmove(z->d->drops, z->d->drops + 1, (DROPS_MAX - 1) * sizeof(*drop));
		z->d->cnt--;
	}
	drop = &z->d->drops[z->d->cnt++];
	*drop = (struct drop){
		.size = z->peak - z->trough,
		.returned = (z->peak - z->trough) * 2 >= z->peak - z->base,
		.start_ns = z->start_ns,
		.trough_ns = z->trough_ns,
		.trough = z->trough_at,
	};
	if (drop->size > z->d->deepest)
		z->d->deepest = drop->size;
	if (z->trough < z->base)
		z->base = z->trough;
	z->start_ns = z->trough_ns;
	z->peak = z->trough;
}

static void zigzag__value(struct zigzag *z, double value, const struct point *p, size_t at)
{
	if (!z->falling) {
		if (value > z->peak)
			z->peak = value;
		if (value < z->base)
			z->base = value;
		if (z->peak - value < z->threshold)
			return;
		z->falling = true;
		z->trough = value;
		z->trough_ns = p->time_ns;
		z->trough_at = at;
		return;
	}
	if (value <= z->trough) {
		z->trough = value;
		z->trough_ns = p->time_ns;
		z->trough_at = at;
	} else if (value - z->trough >= z->threshold) {
		zigzag__close(z);
		z->peak = value;
	}
}

/* The values of a merged point in an order that has its deepest fall. */
static void zigzag__point(struct zigzag *z, const struct point *p, size_t at)
{
	if (p->drop < p->max - p->min)
		zigzag__value(z, (double)p->min, p, at);
	zigzag__value(z, (double)p->max, p, at);
	if (p->drop > 0)
		zigzag__value(z, (double)(p->max - p->drop), p, at);
	zigzag__value(z, (double)p->last, p, at);
}

void drops__find(struct drops *d, const struct point *points, size_t cnt, double share)
{
	struct zigzag z = {.d = d};
	int64_t min = INT64_MAX, max = INT64_MIN;
	size_t skip = cnt > POINTS_MAX ? cnt - POINTS_MAX : 0;

	d->cnt = 0;
	d->deepest = 0;
	if (!cnt)
		return;
	for (size_t i = skip; i < cnt; i++) {
		min = points[i].min < min ? points[i].min : min;
		max = points[i].max > max ? points[i].max : max;
	}
	if (max == min)
		return;
	z.threshold = (double)(max - min) * share;
	z.base = z.peak = (double)points[skip].min;
	z.start_ns = points[skip].time_ns;
	for (size_t i = skip; i < cnt; i++)
		zigzag__point(&z, &points[i], i);
	/* a fall that goes on is one */
	if (z.falling)
		zigzag__close(&z);
}
