// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "refs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "object.h"
#include "refs_state.h"

enum {
	NAMES_TOLD = 10,
	NAMES_TOLD_BYTES = 3000,
	REFERRERS_MAX = 65536, /* kinds of them */
};

static bool is_wanted(const struct refs *r, uint32_t node)
{
	return r->wanted[node / 8] >> node % 8 & 1;
}

static bool is_end_of(const char *name, const char *end)
{
	size_t a = strlen(name), b = strlen(end);

	return a > b && name[a - b - 1] == '.' && !strcmp(name + a - b, end);
}

static bool has_objects(const struct refs *r, uint32_t tag)
{
	return tag < r->g->census->type_capacity && r->g->census->types[tag].objects;
}

/* All tags whose type has that whole name; or the one whose name ends so. */
static int choose_tags(struct refs *r, const char *type, unsigned char *chosen, char **names)
{
	const char *first = NULL, *name;
	char told[NAMES_TOLD_BYTES] = "";
	size_t ends = 0, cnt = 0;

	for (uint32_t tag = TAG_FIRST; tag < r->type_cnt; tag++) {
		name = has_objects(r, tag) ? refs__type_name(r, tag) : NULL;
		if (!name || strcmp(name, type))
			continue;
		chosen[tag] = 1;
		r->type = name;
		cnt++;
	}
	for (uint32_t tag = TAG_FIRST; tag < r->type_cnt && !cnt; tag++) {
		name = has_objects(r, tag) ? refs__type_name(r, tag) : NULL;
		if (!name || !is_end_of(name, type))
			continue;
		chosen[tag] = 1;
		r->type = name;
		if (first && !strcmp(first, name))
			continue;
		first = name;
		if (ends++ < NAMES_TOLD && strlen(told) + strlen(name) + 2 < sizeof(told))
			snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", name);
	}
	if (ends > 1) {
		*names = strdup(told);
		return -E2BIG;
	}
	return cnt || ends ? 0 : -ENOENT;
}

static int compare_words(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void want(struct refs *r, uint32_t node)
{
	r->wanted[node / 8] |= 1 << node % 8;
	r->objects++;
}

static int choose_by_type(struct refs *r, const struct refs_query *q, char **names)
{
	unsigned char *chosen = calloc(r->type_cnt + 1UL, 1);
	int err = chosen ? choose_tags(r, q->type, chosen, names) : -ENOMEM;

	for (uint32_t node = 0; node < r->g->node_cnt && !err; node++) {
		uint32_t tag = graph__tag(r->g, node);
		uint64_t block, bytes;
		uint32_t off;

		if (tag >= r->type_cnt || !chosen[tag])
			continue;
		block = q->blocks ? graph__block(r->g, node, &bytes, &off) : 0;
		if (!q->blocks || bsearch(&block, q->blocks, q->blocks_cnt, sizeof(block), compare_words))
			want(r, node);
	}
	free(chosen);
	return err ? err : r->objects ? 0 : -ENOENT;
}

/* What a buffer that has an owner is for: by the owner's type, and whether it is shared with the type. */
static enum block_use use_of(struct refs *r, uint32_t node)
{
	static const enum block_use of_kind[] = {
		[KIND_LIST] = USE_LIST_ITEMS, [KIND_DICT] = USE_DICT_KEYS, [KIND_SET] = USE_SET_TABLE, [KIND_DEQUE] = USE_DEQUE_BLOCK, [KIND_RAW] = USE_BYTEARRAY,
	};
	const struct py_layout *l = r->g->py->layout;
	uint32_t via, owner = graph__before(r->g, node, &via);
	const struct graph_type *t = owner < GRAPH_ROOTS && graph__tag(r->g, owner) >= TAG_FIRST ? graph__type(r->g, graph__tag(r->g, owner)) : NULL;

	if (!t || !(r->g->flags[node] & NODE_OWNED))
		return USE_UNKNOWN;
	if (t->kind == KIND_DICT && l->dict_values != NO_OFF && GRAPH_INDEX(via) * 8 == l->dict_values)
		return USE_DICT_VALUES;
	if (t->managed && GRAPH_INDEX(via) == 0)
		return USE_DICT_VALUES;
	return (size_t)t->kind < sizeof(of_kind) / sizeof(of_kind[0]) ? of_kind[t->kind] : USE_UNKNOWN;
}

static int choose_buffers(struct refs *r, enum block_use use)
{
	for (uint32_t node = 0; node < r->g->node_cnt; node++)
		if (graph__tag(r->g, node) == TAG_BUFFER && use_of(r, node) == use)
			want(r, node);
	r->buffers = true;
	r->type = block_use__name(use);
	return r->objects ? 0 : -ENOENT;
}

static int choose(struct refs *r, const struct refs_query *q, char **names)
{
	uint32_t node;

	for (int use = USE_UNKNOWN; use < USE_CNT && q->type; use++)
		if (!strcmp(q->type, block_use__name(use)))
			return choose_buffers(r, use);
	if (q->type)
		return choose_by_type(r, q, names);
	node = graph__find_object(r->g, q->addr);
	if (node == GRAPH_NONE)
		return -ENOENT;
	want(r, node);
	r->type = refs__type_name(r, graph__tag(r->g, node));
	return 0;
}

static int add_held(struct refs *r, uint32_t node)
{
	uint32_t shape = ref_shapes__of(r->shapes, node);
	uint64_t found, refcnt, bytes;
	struct held *h;
	uint32_t off;
	bool existed;

	h = map__put(&r->held, &shape, &existed);
	if (!h)
		return -ENOMEM;
	if (!existed) {
		h->shape = shape;
		h->example = node;
	}
	h->objects++;
	graph__block(r->g, node, &bytes, &off);
	h->bytes += bytes;
	if (graph__counts(r->g, node, &found, &refcnt)) {
		h->counted++;
		if (refcnt > found) {
			h->unexplained += refcnt - found;
			if (h->unexplained == (int64_t)(refcnt - found))
				h->example = node; /* one that shows it */
		}
	}
	return 0;
}

static void visit(void *refs, uint32_t from, uint32_t to, uint32_t via)
{
	struct refs *r = refs;
	struct referrer_key key = { 0 };
	struct referrer *found;
	uint32_t shape, owner = from, owner_via;
	enum ref_role role = ROLE_NONE;
	bool existed;

	if (!is_wanted(r, to))
		return;
	shape = ref_shapes__of(r->shapes, from);
	if (shape != SHAPE_NONE)
		role = ref_shapes__get(r->shapes, shape)->role;
	if (role == ROLE_NAMESPACE)
		owner = graph__before(r->g, from, &owner_via);
	key.sort = ref_namer__sort(ref_shapes__namer(r->shapes), from, role, via);
	key.tag = owner < GRAPH_ROOTS ? graph__tag(r->g, owner) : TAG_NONE;
	key.role = role;
	found = map__get(&r->referrers, &key);
	if (!found && r->referrers.cnt >= REFERRERS_MAX)
		return;
	if (!found)
		found = map__put(&r->referrers, &key, &existed);
	if (!found)
		return;
	if (!found->cnt++)
		*found = (struct referrer){ 1, from, via, role };
}

static int find(struct refs *r)
{
	int err = 0;

	for (uint32_t node = 0; node < r->g->node_cnt && !err; node++)
		if (is_wanted(r, node))
			err = add_held(r, node);
	for (uint32_t node = 0; node < r->g->node_cnt && !err; node++)
		if (graph__is_live(r->g, node))
			graph__scan(r->g, node, visit, r);
	return err ? err : r->g->err;
}

int refs__new(struct graph *g, const struct refs_query *q, struct refs **out, char **names)
{
	struct refs *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	*out = NULL;
	*names = NULL;
	if (!r)
		return err;
	r->g = g;
	r->type_cnt = g->census->heap->types.cnt;
	r->type_names = calloc(r->type_cnt + 1UL, sizeof(*r->type_names));
	r->wanted = calloc(g->node_cnt / 8 + 1UL, 1);
	r->shapes = ref_shapes__new(g, q->show_values);
	map__init(&r->held, sizeof(uint32_t), sizeof(struct held));
	map__init(&r->referrers, sizeof(struct referrer_key), sizeof(struct referrer));
	map__init(&r->texts, sizeof(uint64_t), sizeof(char *));
	if (r->type_names && r->wanted && r->shapes)
		err = choose(r, q, names);
	if (!err)
		err = find(r);
	if (err) {
		refs__free(r);
		return err;
	}
	*out = r;
	return 0;
}

void refs__free(struct refs *r)
{
	const void *key;
	void *value;

	if (!r)
		return;
	for (uint32_t i = 0; i < r->type_cnt && r->type_names; i++)
		free(r->type_names[i]);
	for (size_t i = 0; map__next(&r->texts, &i, &key, &value);)
		free(*(char **)value);
	map__free(&r->texts);
	map__free(&r->held);
	map__free(&r->referrers);
	ref_shapes__free(r->shapes);
	free(r->type_names);
	free(r->wanted);
	free(r);
}

const char *refs__type(const struct refs *r)
{
	return r->type;
}

uint64_t refs__objects(const struct refs *r)
{
	return r->objects;
}
