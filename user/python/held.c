// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "held.h"
#include "layout.h"
#include "map.h"
#include "object.h"
#include "python.h"
#include "str.h"
#include "type.h"

enum {
	NODES_MAX = 4096,
	EDGES_MAX = 65536,
	LEVELS_MAX = 12,
	GRANULE = 16, /* no two blocks share one */
	FILTER_BITS = 19,
	CHUNK_BYTES = 256 << 10,
	BATCH_BLOCKS = 4096,
	RUN_GAP_BYTES = 512,
	BASES_MAX = 64,
	OLD = 1, /* heap_block.since: of the first reading */
};

struct node {
	uint64_t addr;
	uint64_t object; /* address of its object; 0: none, then any address in the block leads to it */
	uint64_t refs, found;
	uint32_t bytes;
	bool held;
};

struct edge {
	uint32_t holder, held;
};

struct search {
	const struct heap *h;
	const struct py_interp *py;
	struct node nodes[NODES_MAX];
	size_t cnt, searched; /* for the nodes before SEARCHED all that points to them was found */
	struct edge edges[EDGES_MAX];
	size_t edges_cnt;
	bool full;
	struct map ids;     /* block address -> index of nodes */
	struct map weak;    /* type address -> bool: instances hold nothing */
	struct map targets; /* address / GRANULE -> index of those that are looked for */
	uint64_t lowest, highest;
	uint64_t filter[(1 << FILTER_BITS) / 64];
	/* what is read at once */
	struct heap_block batch[BATCH_BLOCKS];
	uint32_t item_of[BATCH_BLOCKS];
	struct remote_item items[BATCH_BLOCKS];
	size_t batch_cnt, items_cnt, chunk_used;
	unsigned char chunk[CHUNK_BYTES];
};

/* Weak references and proxies, and what is derived from them (Objects/weakrefobject.c): by the name of the static type that they come from. */
static bool comes_from_weak(const struct py_interp *py, uint64_t type)
{
	struct type_info t;
	char name[8];

	for (int i = 0; i < BASES_MAX && type && !type_info__read(py, type, &t); i++, type = t.base)
		if (!(t.flags & TYPE_HEAP) && !py_cstr__read(py, t.name, name, sizeof(name)) && !strncmp(name, "weak", 4))
			return true;
	return false;
}

static bool is_weak(struct search *s, uint64_t type)
{
	bool existed, *weak = type ? map__put(&s->weak, &type, &existed) : NULL;

	if (weak && !existed)
		*weak = comes_from_weak(s->py, type);
	return weak && *weak;
}

static uint32_t filter_bit(uint64_t granule)
{
	return granule * 0x9e3779b97f4a7c15ULL >> (64 - FILTER_BITS);
}

static int add_target(struct search *s, uint64_t addr, uint32_t id)
{
	const uint64_t granule = addr / GRANULE;
	uint32_t *to = map__put(&s->targets, &granule, NULL);

	if (!to)
		return -ENOMEM;
	*to = id;
	s->filter[filter_bit(granule) / 64] |= 1ULL << filter_bit(granule) % 64;
	if (addr < s->lowest)
		s->lowest = addr;
	if (addr + GRANULE > s->highest)
		s->highest = addr + GRANULE;
	return 0;
}

/* FIRST: its bytes, or NULL. Its index, or -errno; EDGES_MAX: there is no room. */
static int node_of(struct search *s, const struct heap_block *b, const void *first)
{
	struct node *n = &s->nodes[s->cnt];
	uint64_t words[8] = { 0 }, type;
	uint32_t *id, off;
	bool existed;

	id = map__get(&s->ids, &b->addr);
	if (id)
		return *id;
	if (s->cnt == NODES_MAX)
		return EDGES_MAX;
	id = map__put(&s->ids, &b->addr, &existed);
	if (!id)
		return -ENOMEM;
	*id = s->cnt++;
	*n = (struct node){ .addr = b->addr, .bytes = b->bytes };
	if (first)
		memcpy(words, first, b->bytes < sizeof(words) ? b->bytes : sizeof(words));
	else if (remote__read(&s->py->mem, b->addr, words, b->bytes < sizeof(words) ? b->bytes : sizeof(words)))
		n->held = true; /* gone */
	if (b->type && !py_block__object(s->py, b->addr, b->bytes, words, sizeof(words), &type, &off)) {
		n->object = b->addr + off;
		n->refs = words[off / 8] & s->py->layout->refcnt_mask;
		n->held = is_weak(s, type); /* what it refers to leads to it, and has no reference */
	} else if (b->type) {
		n->held = true; /* it has changed meanwhile */
	}
	return *id;
}

static void note_reference(struct search *s, uint64_t word, const struct heap_block *holder, const unsigned char *bytes)
{
	const uint64_t granule = word / GRANULE;
	const uint32_t *to = map__get(&s->targets, &granule);
	struct node *n = to ? &s->nodes[*to] : NULL;
	int id;

	if (!n || (n->object && n->object != word) || (!n->object && (word < n->addr || word >= n->addr + n->bytes)))
		return;
	if (is_weak(s, holder->type))
		return;
	if (holder->since == OLD) {
		n->held = true;
		return;
	}
	n->found++;
	id = node_of(s, holder, bytes);
	if (id < 0 || id == EDGES_MAX || s->edges_cnt == EDGES_MAX)
		n->held = s->full = true;
	else
		s->edges[s->edges_cnt++] = (struct edge){ id, *to };
}

static void look_into(struct search *s, const struct heap_block *b, const unsigned char *bytes)
{
	uint64_t word;

	for (uint32_t off = 0; off + sizeof(word) <= b->bytes; off += sizeof(word)) {
		memcpy(&word, bytes + off, sizeof(word));
		if (word < s->lowest || word >= s->highest)
			continue;
		if (s->filter[filter_bit(word / GRANULE) / 64] >> filter_bit(word / GRANULE) % 64 & 1)
			note_reference(s, word, b, bytes);
	}
}

static int read_batch(struct search *s)
{
	int err = s->items_cnt ? remote__read_many(&s->py->mem, s->items, s->items_cnt) : 0;

	for (size_t i = 0; i < s->batch_cnt && !err; i++) {
		const struct remote_item *item = &s->items[s->item_of[i]];

		if (item->ok)
			look_into(s, &s->batch[i], (const unsigned char *)item->out + (s->batch[i].addr - item->addr));
	}
	s->batch_cnt = s->items_cnt = s->chunk_used = 0;
	return err;
}

/* Into the run that the last one is in, if it is near. */
static int add_to_batch(struct search *s, const struct heap_block *b)
{
	struct remote_item *last = s->items_cnt ? &s->items[s->items_cnt - 1] : NULL;
	uint64_t more = last ? b->addr + b->bytes - (last->addr + last->size) : 0;
	int err = 0;

	if (!last || more > b->bytes + RUN_GAP_BYTES || s->chunk_used + more > CHUNK_BYTES) {
		more = b->bytes;
		last = NULL;
	}
	if (s->batch_cnt == BATCH_BLOCKS || s->chunk_used + more > CHUNK_BYTES) {
		err = read_batch(s);
		last = NULL;
		more = b->bytes;
	}
	if (last)
		last->size += more;
	else
		s->items[s->items_cnt++] = (struct remote_item){ .addr = b->addr, .out = s->chunk + s->chunk_used, .size = b->bytes };
	s->chunk_used += more;
	s->item_of[s->batch_cnt] = s->items_cnt - 1;
	s->batch[s->batch_cnt++] = *b;
	return err;
}

static int begin_level(struct search *s)
{
	int err = 0;

	map__free(&s->targets);
	map__init(&s->targets, sizeof(uint64_t), sizeof(uint32_t));
	memset(s->filter, 0, sizeof(s->filter));
	s->lowest = UINT64_MAX;
	s->highest = 0;
	for (size_t i = s->searched; i < s->cnt && !err; i++) {
		const struct node *n = &s->nodes[i];

		if (n->held)
			continue;
		if (n->object)
			err = add_target(s, n->object, i);
		for (uint64_t addr = n->addr; !n->object && addr < n->addr + n->bytes && !err; addr += GRANULE)
			err = add_target(s, addr, i);
	}
	return err;
}

/* What points to the nodes that were not looked for yet. */
static int search_level(struct search *s)
{
	struct heap_iter it = { 0 };
	struct heap_block b;
	size_t cnt = s->cnt;
	int err = begin_level(s);

	while (!err && heap__next(s->h, &it, &b))
		err = add_to_batch(s, &b);
	err = err ?: read_batch(s);
	for (; s->searched < cnt; s->searched++) {
		struct node *n = &s->nodes[s->searched];

		n->held |= n->object ? n->found < n->refs : !n->found;
	}
	return err;
}

static void pass_on(struct search *s)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < s->edges_cnt; i++) {
			const struct edge *e = &s->edges[i];

			if (!s->nodes[e->holder].held || s->nodes[e->held].held)
				continue;
			s->nodes[e->held].held = true;
			more = true;
		}
	}
}

static bool any_open(const struct search *s)
{
	for (size_t i = s->searched; i < s->cnt; i++)
		if (!s->nodes[i].held)
			return true;
	return false;
}

static int search(struct search *s)
{
	int err = 0;

	for (int level = 0; level < LEVELS_MAX && !err && any_open(s); level++) {
		err = search_level(s);
		pass_on(s);
	}
	for (size_t i = s->searched; i < s->cnt; i++) /* the way back is too long */
		s->nodes[i].held = true;
	pass_on(s);
	return err;
}

int heap__garbage(const struct heap *h, const struct py_interp *py, const uint64_t *blocks, size_t cnt, uint64_t max_bytes, bool *garbage)
{
	struct heap_stats stats;
	struct heap_block b;
	struct search *s;
	int err = 0;

	memset(garbage, 0, cnt * sizeof(*garbage));
	heap__stats(h, &stats);
	if (stats.pools_bytes > max_bytes)
		return -E2BIG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->h = h;
	s->py = py;
	map__init(&s->ids, sizeof(uint64_t), sizeof(uint32_t));
	map__init(&s->weak, sizeof(uint64_t), sizeof(bool));
	map__init(&s->targets, sizeof(uint64_t), sizeof(uint32_t));
	for (size_t i = 0; i < cnt && err >= 0; i++)
		if (heap__find(h, blocks[i], &b) && b.since != OLD)
			err = node_of(s, &b, NULL);
	err = err < 0 ? err : search(s);
	for (size_t i = 0; i < cnt && !err; i++) {
		const uint32_t *id = map__get(&s->ids, &blocks[i]);

		garbage[i] = id && !s->nodes[*id].held;
	}
	map__free(&s->ids);
	map__free(&s->weak);
	map__free(&s->targets);
	free(s);
	return err;
}
