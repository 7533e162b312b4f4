// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "leaked.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "heap.h"
#include "map.h"

struct growth {
	int64_t live;      /* at the last look */
	uint32_t looks;    /* in which it was there, or grew */
	uint32_t grew;
};

struct leaked {
	struct heap *heap;
	struct map types; /* address -> struct growth */
	uint32_t looks;
};

struct leaked *leaked__new(const struct py_interp *py)
{
	struct leaked *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	map__init(&l->types, sizeof(uint64_t), sizeof(struct growth));
	l->heap = heap__new(py);
	if (l->heap)
		return l;
	free(l);
	return NULL;
}

void leaked__free(struct leaked *l)
{
	if (!l)
		return;
	heap__free(l->heap);
	map__free(&l->types);
	free(l);
}

int leaked__look(struct leaked *l)
{
	const struct heap_kind *kinds;
	int err = heap__read(l->heap);
	size_t cnt = err ? 0 : heap__kinds(l->heap, &kinds);

	if (err)
		return err;
	l->looks++;
	for (size_t i = 0; i < cnt; i++) {
		struct growth *g = kinds[i].type ? map__put(&l->types, &kinds[i].type, NULL) : NULL;

		if (!g)
			continue;
		g->grew += l->looks > 1 && kinds[i].live > g->live;
		g->live = kinds[i].live;
	}
	return 0;
}

static int most_bytes(const void *a, const void *b)
{
	const struct leaked_type *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->type > y->type) - (x->type < y->type);
}

size_t leaked__types(const struct leaked *l, struct leaked_type *out, size_t max)
{
	const struct heap_kind *kinds;
	size_t cnt = l->looks ? heap__kinds(l->heap, &kinds) : 0, found = 0;
	struct leaked_type *all = calloc(cnt + 1, sizeof(*all));

	for (size_t i = 0; i < cnt && all; i++) {
		const struct heap_kind *k = &kinds[i];
		const struct growth *g = k->type ? map__get(&l->types, &k->type) : NULL;
		int64_t stayed = k->live - k->old - k->fresh;

		if (g && g->grew + 1 >= l->looks && stayed > 0)
			all[found++] = (struct leaked_type){ k->type, stayed, k->live_bytes / k->live * stayed };
	}
	if (all)
		qsort(all, found, sizeof(*all), most_bytes);
	if (found > max)
		found = max;
	for (size_t i = 0; i < found; i++)
		out[i] = all[i];
	free(all);
	return found;
}

int leaked__blocks(const struct leaked *l, uint64_t type, uint64_t **out, size_t *cnt)
{
	struct heap_iter it = { 0 };
	struct heap_block block;
	size_t capacity = 0;
	uint64_t *bigger;

	*out = NULL;
	*cnt = 0;
	while (heap__next(l->heap, &it, &block)) {
		if (block.type != type || block.since < 2 || block.since >= l->looks)
			continue;
		if (*cnt == capacity) {
			capacity = capacity ? capacity * 2 : 1024;
			bigger = realloc(*out, capacity * sizeof(*bigger));
			if (!bigger) {
				free(*out);
				*out = NULL;
				return -ENOMEM;
			}
			*out = bigger;
		}
		(*out)[(*cnt)++] = block.addr;
	}
	return 0;
}
