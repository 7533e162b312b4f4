// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is neither in a pool nor in the C library's heap, but in the collector's lists. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "census_state.h"
#include "word.h"

enum {
	LINKS_AT_ONCE = 256,
	LINKED_FEW = 64, /* may have been made during the reading, or by an extension */
	LINKED_LEAST_BYTES = 32, /* head and header */
	HEADS_MAX_BYTES = 48, /* in front of a PyObject header: GC head, pre-header */
};

/* More are not kept in mind at a time. */
#define LINKS_MAX (64ULL << 20)

static bool add_word(struct census *c, uint64_t **list, size_t *cnt, size_t *capacity, uint64_t value)
{
	size_t more = *capacity ? *capacity * 2 : 1024;
	uint64_t *bigger;

	if (*cnt == *capacity) {
		bigger = realloc(*list, more * sizeof(*bigger));
		if (!bigger) {
			c->err = -ENOMEM;
			return false;
		}
		*list = bigger;
		*capacity = more;
	}
	(*list)[(*cnt)++] = value;
	return true;
}

void census__note_found(struct census *c, uint64_t object)
{
	if (c->found_cnt && c->found[c->found_cnt - 1] > object)
		c->found_unsorted = true;
	add_word(c, &c->found, &c->found_cnt, &c->found_capacity, object);
}

static bool in_runs(const struct census *c, uint64_t addr)
{
	/* The last one is that which is walked. */
	for (size_t i = c->run_cnt; i; i--)
		if (addr >= c->runs[i - 1].start && addr < c->runs[i - 1].end)
			return true;
	return false;
}

static bool is_gc_list(const struct py_interp *py, uint64_t addr)
{
	for (size_t i = 0; i < sizeof(py->gc_lists) / sizeof(py->gc_lists[0]); i++)
		if (addr == py->gc_lists[i])
			return true;
	return false;
}

void census__link(struct census *c, uint64_t gc_head, uint64_t from)
{
	uint32_t bytes, behind;

	/* Most are neighbours. */
	if (c->heap->found && (gc_head ^ from) < c->heap->found->pool_bytes)
		return;
	if (gc_head < PAGE_BYTES || gc_head >> 47 || is_gc_list(c->py, gc_head))
		return;
	/* Without pools all objects are there: the walk will meet it, or has done so. */
	if (!c->stats.has_pools && in_runs(c, gc_head))
		return;
	if (c->heap->found ? found_pools__of(c->heap->found, gc_head) != NULL : heap__place(c->heap, gc_head, &bytes, &behind))
		return;
	if (c->link_cnt < LINKS_MAX)
		add_word(c, &c->links, &c->link_cnt, &c->link_capacity, gc_head);
}

static int compare_words(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool is_found(const struct census *c, uint64_t object)
{
	return c->found_cnt && bsearch(&object, c->found, c->found_cnt, sizeof(object), compare_words);
}

/*
 * What its type says: no allocator of ours was asked. PyVarObject.ob_size of an int has its sign; what cannot be is left out. Of an instance of an
 * int (3.12+: lv_tag) it is too much by some digits.
 */
static int64_t linked_bytes(struct census *c, const unsigned char *header, uint32_t tag)
{
	const struct census_type *t = census__type(c, tag);
	int64_t items = word(header, 16), more = 0;

	if (!t)
		return 0;
	if (t->itemsize && t->basicsize >= 24 && items != INT64_MIN &&
	    (__builtin_mul_overflow(items < 0 ? -items : items, t->itemsize, &more) || (uint64_t)more > c->status.rss_bytes + c->status.swap_bytes))
		more = 0;
	return t->basicsize + more + c->heap->types.types[tag].shape.heads_bytes;
}

static void count_linked(struct census *c, uint64_t object, const unsigned char *header)
{
	uint64_t type = word(header, 8), next;
	uint32_t tag = TAG_NONE;

	if (!shape__is_gc_head(c->py, (const uint64_t *)header))
		return;
	next = census__gc_next(c->py, header);
	if (!next)
		return;
	if (shape__is_refcnt(c->py, word(header, 0)) && type >= PAGE_BYTES && !(type >> 47) && !(type & 7))
		tag = heap_types__tag(&c->heap->types, type);
	if (tag >= TAG_FIRST && c->heap->types.types[tag].shape.gc) {
		c->linked_cnt++;
		census__count(c, &(struct census_object){ object, header, CENSUS_LOOK_BYTES, tag, linked_bytes(c, header, tag), false, 0, false });
	} else {
		census__link(c, next, object); /* whatever it is, the list goes on */
	}
}

struct linked {
	uint64_t object;
	uint64_t bytes[(HEADS_MAX_BYTES + CENSUS_LOOK_BYTES) / 8];
};

/* Those of the last links that are new. */
static size_t take_links(struct census *c, struct linked *out, struct remote_item *items)
{
	size_t cnt = 0;
	bool existed;

	while (c->link_cnt && cnt < LINKS_AT_ONCE) {
		uint64_t object = c->links[--c->link_cnt] + c->py->gc_head_bytes;

		if (is_found(c, object))
			continue;
		if (c->linked.cnt * LINKED_LEAST_BYTES > c->status.rss_bytes) { /* so many have no room there */
			c->link_cnt = 0;
			break;
		}
		if (!map__put(&c->linked, &object, &existed)) {
			c->err = -ENOMEM;
			break;
		}
		if (existed)
			continue;
		out[cnt].object = object;
		items[cnt] = (struct remote_item){ object - HEADS_MAX_BYTES, out[cnt].bytes, sizeof(out[cnt].bytes), 0 };
		cnt++;
	}
	return cnt;
}

/* As far as it is there: a block may begin right behind a hole, or end before one. */
static bool read_again(struct census *c, struct linked *l)
{
	memset(l->bytes, 0, sizeof(l->bytes));
	return !remote__read(&c->py->mem, l->object - c->py->gc_head_bytes, (char *)l->bytes + HEADS_MAX_BYTES - c->py->gc_head_bytes,
			     c->py->gc_head_bytes + 24);
}

int census__follow_links(struct census *c)
{
	struct linked *batch = calloc(LINKS_AT_ONCE, sizeof(*batch));
	struct remote_item *items = calloc(LINKS_AT_ONCE, sizeof(*items));
	int err = batch && items ? 0 : -ENOMEM;
	uint64_t next;
	size_t cnt;

	if (c->found_unsorted)
		qsort(c->found, c->found_cnt, sizeof(*c->found), compare_words);
	for (size_t i = 0; i < sizeof(c->py->gc_lists) / sizeof(c->py->gc_lists[0]) && !err; i++)
		if (c->py->gc_lists[i] && !remote__read_u64(&c->py->mem, c->py->gc_lists[i], &next))
			census__link(c, next & ~3ULL, c->py->gc_lists[i]);
	while (!err && !c->err && c->link_cnt) {
		cnt = take_links(c, batch, items);
		err = remote__read_many(&c->py->mem, items, cnt);
		for (size_t i = 0; i < cnt && !err && !c->err; i++)
			if (items[i].ok || read_again(c, &batch[i]))
				count_linked(c, batch[i].object, (const unsigned char *)batch[i].bytes + HEADS_MAX_BYTES);
	}
	free(batch);
	free(items);
	return err ? err : c->err;
}

static uint64_t tracked_cnt(const struct census *c)
{
	uint64_t cnt = 0;

	for (uint32_t tag = TAG_FIRST; tag < c->type_capacity; tag++)
		cnt += c->types[tag].tracked;
	return cnt;
}

bool census__has_strangers(const struct census *c)
{
	return c->linked_cnt > LINKED_FEW && c->linked_cnt > tracked_cnt(c) / 100;
}
