// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "growth.h"
#include "intern.h"
#include "map.h"
#include "rank.h"
#include "row.h"

static const struct {
	const char *buffer, *owner;
} owners[] = {
	{"dict keys", "dict"},     {"dict values", "dict"},     {"list items", "list"},
	{"set table", "set"},      {"set table", "frozenset"},  {"deque block", "collections.deque"},
	{"bytearray buffer", "bytearray"},
};

int type__owns(const char *type, const char *buffer)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		if (!strcmp(buffer, owners[i].buffer) && !strcmp(type, owners[i].owner))
			return 2;
	/* an instance of a class keeps its attributes in one of these */
	return strchr(type, '.') && (!strcmp(buffer, "dict values") || !strcmp(buffer, "dict keys"));
}

static int verdict__class(enum verdict v)
{
	return v == VERDICT_GROWING ? 2 : v == VERDICT_STABLE ? 0 : 1;
}

static int rank__order(const void *a, const void *b)
{
	const struct rank_item *x = a, *y = b;
	const struct tick_sum *p = &x->row->now, *q = &y->row->now;

	if (x->class != y->class)
		return y->class - x->class;
	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	if (p->bytes != q->bytes)
		return p->bytes < q->bytes ? 1 : -1;
	if (p->proc != q->proc)
		return p->proc < q->proc ? -1 : 1;
	if (p->stack != q->stack)
		return p->stack < q->stack ? -1 : 1;
	return (p->type > q->type) - (p->type < q->type);
}

/* Rows of one process, and within it of one stack, are neighbours in this order. */
static int rank__by_place(const void *a, const void *b)
{
	const struct tick_sum *p = &((const struct rank_item *)a)->row->now, *q = &((const struct rank_item *)b)->row->now;

	if (p->proc != q->proc)
		return p->proc < q->proc ? -1 : 1;
	if (p->stack != q->stack)
		return p->stack < q->stack ? -1 : 1;
	return (p->type > q->type) - (p->type < q->type);
}

static bool rank__same_place(const struct rank_item *a, const struct rank_item *b, enum growth_group group)
{
	const struct tick_sum *p = &a->row->now, *q = &b->row->now;

	return p->proc == q->proc && (group == GROUP_TYPE || p->stack == q->stack);
}

static struct rank_item *rank__owner(struct rank_item *items, size_t cnt, const char *buffer, const struct growth_opts *opts)
{
	struct rank_item *best = NULL;
	/* without a common stack a class that may own it is no better than another */
	int best_owns = opts->group == GROUP_STACK ? 0 : 1;

	for (size_t i = 0; i < cnt; i++) {
		const struct tick_sum *now = &items[i].row->now;
		int owns;

		if (now->is_buffer)
			continue;
		owns = type__owns(intern__get(opts->strings, now->type, NULL), buffer);
		if (owns > best_owns || (best && owns == best_owns && now->objects > best->row->now.objects)) {
			best = &items[i];
			best_owns = owns;
		}
	}
	return best;
}

/* ITEMS are those of one place. */
static void rank__support(struct rank_item *items, size_t cnt, const struct growth_opts *opts)
{
	for (size_t i = 0; i < cnt; i++) {
		const struct tick_sum *now = &items[i].row->now;
		struct rank_item *owner;

		if (!now->is_buffer)
			continue;
		owner = rank__owner(items, cnt, intern__get(opts->strings, now->type, NULL), opts);
		if (!owner)
			continue;
		if (items[i].gain > 0)
			owner->weight += items[i].gain;
	}
}

void rank__sort(struct rank_item *items, size_t cnt, const struct growth_opts *opts)
{
	for (size_t i = 0; i < cnt; i++) {
		items[i].weight = items[i].gain;
		items[i].class = verdict__class(items[i].verdict);
		/* what a process had in hand when it ended, without names: no reason to push named rows down */
		if (!items[i].row->now.type && items[i].verdict == VERDICT_UNKNOWN)
			items[i].class = verdict__class(VERDICT_STABLE);
	}
	/* the other groups have the owner in the same row */
	if (opts->group == GROUP_STACK || opts->group == GROUP_TYPE) {
		qsort(items, cnt, sizeof(*items), rank__by_place);
		for (size_t i = 0, end; i < cnt; i = end) {
			for (end = i + 1; end < cnt && rank__same_place(&items[i], &items[end], opts->group); end++)
				;
			rank__support(items + i, end - i, opts);
		}
	}
	qsort(items, cnt, sizeof(*items), rank__order);
}
