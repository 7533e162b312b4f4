// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gate_cycles.h"

#define CYCLES_MAX 65536

int gate_cycles__add_burst(struct gate_cycles *c, uint64_t from_ns, uint64_t to_ns, double weight)
{
	if (c->cnt == CYCLES_MAX) {
		memmove(c->list, c->list + CYCLES_MAX / 2, CYCLES_MAX / 2 * sizeof(*c->list));
		c->cnt = CYCLES_MAX / 2;
	}
	if (c->cnt == c->capacity) {
		size_t capacity = c->capacity ? 2 * c->capacity : 64;
		struct gate_cycle *list = realloc(c->list, capacity * sizeof(*list));

		if (!list)
			return -ENOMEM;
		c->list = list;
		c->capacity = capacity;
	}
	c->list[c->cnt++] = (struct gate_cycle){ from_ns, to_ns, weight };
	return 0;
}

int gate_cycles__add(struct gate_cycles *c, uint64_t to_ns, double weight)
{
	return gate_cycles__add_burst(c, 0, to_ns, weight);
}

/* The first that ended at or after it. */
static size_t find(const struct gate_cycles *c, uint64_t ns)
{
	size_t lo = 0, hi = c->cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->list[mid].to_ns < ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

double gate_cycles__weight(const struct gate_cycles *c, uint64_t ns)
{
	size_t at = find(c, ns);

	if (!c->cnt)
		return 1;
	if (at < c->cnt && !c->list[at].weight)
		at++;
	return c->list[at < c->cnt ? at : c->cnt - 1].weight; /* the one that is going on will be about as the one before */
}

bool gate_cycles__covers(const struct gate_cycles *c, uint64_t ns)
{
	size_t at = find(c, ns);

	return at < c->cnt && c->list[at].weight > 0;
}

double gate_cycles__burst_weight(const struct gate_cycles *c, uint64_t ns)
{
	size_t at = find(c, ns);

	return at < c->cnt && c->list[at].from_ns && ns >= c->list[at].from_ns ? c->list[at].weight : 0;
}

void gate_cycles__free(struct gate_cycles *c)
{
	free(c->list);
	*c = (struct gate_cycles){};
}
