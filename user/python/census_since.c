// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Since which reading objects outside of pools are there: which address held which type. In order of addresses, as the C library's heap is walked; what
 * is found otherwise comes last, and is sorted in.
 */
#include <errno.h>
#include <stdlib.h>

#include "census_state.h"

static int compare(const void *a, const void *b)
{
	const struct census_known *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static uint32_t mark_of(const struct heap_type *t)
{
	uint64_t mix = (t->addr ^ t->stamp) * 0x9e3779b97f4a7c15;

	return mix >> 32;
}

void census_since__begin(struct census *c)
{
	struct census_since *s = &c->since;
	const struct census_known_list now = s->now;

	if (s->unsorted)
		qsort(now.list, now.cnt, sizeof(*now.list), compare);
	s->now = s->before;
	s->before = now;
	s->now.cnt = s->at = 0;
	s->unsorted = false;
}

void census_since__free(struct census *c)
{
	free(c->since.now.list);
	free(c->since.before.list);
}

static const struct census_known *find(struct census_since *s, uint64_t addr)
{
	const struct census_known_list *l = &s->before;

	if (s->unsorted)
		return l->cnt ? bsearch(&(struct census_known){ .addr = addr }, l->list, l->cnt, sizeof(*l->list), compare) : NULL;
	while (s->at < l->cnt && l->list[s->at].addr < addr)
		s->at++;
	return s->at < l->cnt && l->list[s->at].addr == addr ? &l->list[s->at] : NULL;
}

uint32_t census_since__of(struct census *c, uint64_t addr, uint32_t tag)
{
	struct census_since *s = &c->since;
	struct census_known_list *l = &s->now;
	struct census_known known = { addr, mark_of(&c->heap->types.types[tag]), c->heap->stats.readings };
	const struct census_known *before;
	struct census_known *bigger;
	size_t capacity = l->capacity ? l->capacity * 2 : 4096;

	if (!c->options.remember)
		return known.since;
	if (l->cnt && l->list[l->cnt - 1].addr > addr)
		s->unsorted = true;
	before = find(s, addr);
	if (before && before->type == known.type)
		known.since = before->since;
	if (l->cnt == l->capacity) {
		bigger = realloc(l->list, capacity * sizeof(*bigger));
		if (!bigger) {
			c->err = -ENOMEM;
			return known.since;
		}
		l->list = bigger;
		l->capacity = capacity;
	}
	l->list[l->cnt++] = known;
	return known.since;
}
