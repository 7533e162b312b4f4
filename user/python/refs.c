// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "refs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_state.h"
#include "layout.h"
#include "ref_shape.h"

enum {
	NAME_MAX_BYTES = 1100,
	NAMES_TOLD = 10,
	REFERRERS_MAX = 65536, /* kinds of them */
	TOLD_MAX = 16384, /* ways that are put into words: the most frequent ones */
	DEPTH_MAX = 4096,      /* steps of a shape: what repeats itself is one */
};

#define TEXT_OF_MEMORY "(memory)"

/* Of one shape. */
struct held {
	uint32_t shape;
	uint32_t example;
	uint64_t objects, bytes, counted;
	int64_t unexplained;
};

struct referrer_key {
	uint64_t sort;
	uint32_t tag; /* of the object, that of an instance where its dict refers */
	uint32_t role;
};

struct referrer {
	uint64_t cnt;
	uint32_t from, via;
	enum ref_role role;
};

struct refs {
	struct graph *g;
	struct ref_shapes *shapes;
	struct map held;      /* shape -> struct held */
	struct map referrers; /* struct referrer_key -> struct referrer */
	unsigned char *wanted; /* a bit per node */
	char **type_names;    /* [tag] owned */
	uint32_t type_cnt;
	struct map texts; /* what was put together: number -> char *, owned */
	uint64_t text_cnt;
	const char *type;
	uint64_t objects;
	bool buffers; /* were asked for */
};

static bool is_wanted(const struct refs *r, uint32_t node)
{
	return r->wanted[node / 8] >> node % 8 & 1;
}

static const char *type_name(struct refs *r, uint32_t tag)
{
	const struct heap_types *types = &r->g->census->heap->types;
	char name[NAME_MAX_BYTES];

	if (tag == TAG_BUFFER)
		return TEXT_OF_MEMORY;
	if (tag >= r->type_cnt || tag < TAG_FIRST)
		return NULL;
	if (!r->type_names[tag] && r->g->py->names.types == NAMES_TRUE && types->types[tag].addr &&
	    !py_type__name(r->g->py, types->types[tag].addr, name, sizeof(name), NULL))
		r->type_names[tag] = strdup(name);
	return r->type_names[tag];
}

static const char *keep(struct refs *r, const char *text)
{
	uint64_t number = r->text_cnt++;
	char **kept = map__put(&r->texts, &number, NULL);

	if (kept)
		*kept = strdup(text);
	return kept && *kept ? *kept : "";
}

/* ---- which objects are asked for ---- */

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
	char told[NAMES_TOLD * NAME_MAX_BYTES / 4] = "";
	size_t ends = 0, cnt = 0;

	for (uint32_t tag = TAG_FIRST; tag < r->type_cnt; tag++) {
		name = has_objects(r, tag) ? type_name(r, tag) : NULL;
		if (!name || strcmp(name, type))
			continue;
		chosen[tag] = 1;
		r->type = name;
		cnt++;
	}
	for (uint32_t tag = TAG_FIRST; tag < r->type_cnt && !cnt; tag++) {
		name = has_objects(r, tag) ? type_name(r, tag) : NULL;
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
	r->type = type_name(r, graph__tag(r->g, node));
	return 0;
}

/* ---- what holds them ---- */

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

/* ---- how it is told ---- */

/* Shapes from the root's on; how many. */
static size_t unroll(const struct refs *r, uint32_t shape, const struct ref_shape **out)
{
	size_t cnt = 0;

	for (; shape != SHAPE_NONE && cnt < DEPTH_MAX; shape = out[cnt - 1]->parent)
		out[cnt++] = ref_shapes__get(r->shapes, shape);
	for (size_t i = 0; i < cnt / 2; i++) {
		const struct ref_shape *swap = out[i];

		out[i] = out[cnt - 1 - i];
		out[cnt - 1 - i] = swap;
	}
	return cnt;
}

/* The last class that the way leads through as one, if it is always the same: where its attributes begin. 0: none. */
static size_t find_class(struct refs *r, const struct ref_shape *const *steps, size_t cnt)
{
	for (size_t i = cnt; i > 1; i--) {
		const struct ref_shape *class = steps[i - 2];
		const struct graph_type *t = class->tag >= TAG_FIRST ? graph__type(r->g, class->tag) : NULL;

		if (steps[i - 1]->role == ROLE_NAMESPACE && class->parent != SHAPE_NONE && t && t->kind == KIND_TYPE && class->nodes == 1)
			return i - 1;
	}
	return 0;
}

static const char *text_of(const struct ref_shape *s)
{
	return s->varies ? s->general : s->exact;
}

static void add_part(struct refs *r, struct refs_chain *out, const char *text, const char *type)
{
	struct refs_part *last = out->parts_cnt ? &out->parts[out->parts_cnt - 1] : NULL;
	char joined[1024];

	/* A subscript belongs to what is before it, and so does an attribute to the module's or class's name. */
	if (last && (*text == '[' || *text == '{' || (*text == '.' && !last->type))) {
		snprintf(joined, sizeof(joined), "%s%s", last->text, text);
		last->text = keep(r, joined);
		last->type = type;
		return;
	}
	if (out->parts_cnt == REFS_PARTS_MAX) {
		out->cut = true;
		out->parts[out->parts_cnt - 1] = (struct refs_part){ text, type };
		return;
	}
	out->parts[out->parts_cnt++] = (struct refs_part){ text, type };
}

static void add_step(struct refs *r, struct refs_chain *out, const struct ref_shape *s, const struct ref_shape *before)
{
	const char *type = type_name(r, s->tag), *text = text_of(s);
	char joined[REF_TEXT_BYTES + 8];
	bool nameless;

	if (s->tag == TAG_BUFFER)
		text = "";
	nameless = !*text && s->role != ROLE_NAMESPACE && before->role != ROLE_CELL;

	if (s->repeats) {
		snprintf(joined, sizeof(joined), "%s…", text);
		text = keep(r, joined);
	}
	if (*text) {
		add_part(r, out, text, type ? type : "");
	} else if (nameless && s->tag == TAG_BUFFER) {
		if (r->buffers && before->tag >= TAG_FIRST)
			return; /* the owner is its holder, and says it all */
		if (!out->parts_cnt || strcmp(out->parts[out->parts_cnt - 1].text, TEXT_OF_MEMORY))
			add_part(r, out, TEXT_OF_MEMORY, TEXT_OF_MEMORY);
	} else if (nameless && s->parent != SHAPE_NONE && !(before->parent == SHAPE_NONE && graph__root(r->g, s->root)->kind == ROOT_MODULE)) {
		snprintf(joined, sizeof(joined), "(%.*s)", (int)sizeof(joined) - 3, type ? type : "?");
		add_part(r, out, keep(r, joined), type ? type : "");
	} else if (out->parts_cnt) {
		out->parts[out->parts_cnt - 1].type = out->parts[out->parts_cnt - 1].type ? type : NULL;
	}
}

static void describe_counts(const struct refs *r, const struct held *h, struct refs_chain *out)
{
	out->example = graph__node_addr(r->g, h->example);
	out->counts_known = graph__counts(r->g, h->example, &out->found, &out->refcnt);
	out->unexplained = h->counted ? (h->unexplained + (int64_t)h->counted / 2) / (int64_t)h->counted : 0;
}

static void describe(struct refs *r, const struct held *h, struct refs_chain *out)
{
	static const struct graph_root none = { .kind = ROOT_GARBAGE };
	const struct ref_shape **steps = calloc(DEPTH_MAX, sizeof(*steps));
	size_t cnt = steps ? unroll(r, h->shape, steps) : 0, from = cnt ? find_class(r, steps, cnt) : 0;
	const struct graph_root *root = cnt ? graph__root(r->g, steps[0]->root) : &none;
	char name[NAME_MAX_BYTES];

	*out = (struct refs_chain){ .kind = root->kind, .root = root->name, .line = root->line, .objects = h->objects, .bytes = h->bytes };
	if (from && !py_type__name(r->g->py, graph__node_addr(r->g, steps[from - 1]->example), name, sizeof(name), NULL)) {
		out->is_class = true;
		out->root = keep(r, name);
	} else {
		from = 0;
	}
	if (out->root && (out->is_class || root->kind == ROOT_MODULE))
		out->parts[out->parts_cnt++] = (struct refs_part){ out->root, NULL };
	for (size_t i = from + (from == 0); i < cnt; i++)
		add_step(r, out, steps[i], steps[i - 1]);
	describe_counts(r, h, out);
	free(steps);
}

static int compare_held(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->objects != y->objects ? (x->objects < y->objects ? 1 : -1) : (x->shape > y->shape) - (x->shape < y->shape);
}

static int compare_bytes(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : compare_held(a, b);
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_ways(const void *a, const void *b)
{
	const struct refs_chain *x = a, *y = b;
	int order = (x->kind > y->kind) - (x->kind < y->kind);

	if (!order)
		order = compare_text(x->root, y->root);
	if (!order)
		order = (x->line > y->line) - (x->line < y->line);
	if (!order)
		order = (x->parts_cnt > y->parts_cnt) - (x->parts_cnt < y->parts_cnt);
	for (size_t i = 0; i < x->parts_cnt && !order; i++) {
		order = compare_text(x->parts[i].text, y->parts[i].text);
		if (!order)
			order = compare_text(x->parts[i].type, y->parts[i].type);
	}
	return order;
}

static int most_objects(const void *a, const void *b)
{
	const struct refs_chain *x = a, *y = b;

	return x->objects != y->objects ? (x->objects < y->objects ? 1 : -1) : compare_ways(a, b);
}

static int most_bytes(const void *a, const void *b)
{
	const struct refs_chain *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : most_objects(a, b);
}

/* Shapes that differ in what is not told (which table of a dict a buffer is) are one way. */
static size_t merge_same(struct refs_chain *all, size_t cnt)
{
	size_t kept = 0;

	qsort(all, cnt, sizeof(*all), compare_ways);
	for (size_t i = 0; i < cnt; i++) {
		if (!kept || compare_ways(&all[kept - 1], &all[i])) {
			all[kept++] = all[i];
			continue;
		}
		all[kept - 1].unexplained = (all[kept - 1].unexplained * (int64_t)all[kept - 1].objects + all[i].unexplained * (int64_t)all[i].objects) /
					    (int64_t)(all[kept - 1].objects + all[i].objects);
		all[kept - 1].objects += all[i].objects;
		all[kept - 1].bytes += all[i].bytes;
	}
	return kept;
}

size_t refs__chains(struct refs *r, struct refs_chain *out, size_t max)
{
	struct held *held = calloc(r->held.cnt + 1, sizeof(*held));
	struct refs_chain *all;
	const void *key;
	void *value;
	size_t cnt = 0;

	for (size_t i = 0; held && map__next(&r->held, &i, &key, &value);)
		held[cnt++] = *(struct held *)value;
	if (cnt)
		qsort(held, cnt, sizeof(*held), r->buffers ? compare_bytes : compare_held);
	if (cnt > TOLD_MAX)
		cnt = TOLD_MAX;
	all = calloc(cnt + 1, sizeof(*all));
	for (size_t i = 0; i < cnt && all; i++)
		describe(r, &held[i], &all[i]);
	free(held);
	cnt = all && cnt ? merge_same(all, cnt) : 0;
	if (cnt)
		qsort(all, cnt, sizeof(*all), r->buffers ? most_bytes : most_objects);
	if (cnt > max)
		cnt = max;
	for (size_t i = 0; i < cnt; i++)
		out[i] = all[i];
	free(all);
	return cnt;
}

static int compare_referrers(const void *a, const void *b)
{
	const struct referrer *x = a, *y = b;

	if (x->cnt != y->cnt)
		return x->cnt < y->cnt ? 1 : -1;
	return x->from != y->from ? (x->from > y->from) - (x->from < y->from) : (x->via > y->via) - (x->via < y->via);
}

size_t refs__referrers(struct refs *r, struct refs_referrer *out, size_t max)
{
	struct referrer *all = calloc(r->referrers.cnt + 1, sizeof(*all));
	struct ref_step step;
	const void *key;
	void *value;
	uint32_t owner, via;
	size_t cnt = 0;

	for (size_t i = 0; all && map__next(&r->referrers, &i, &key, &value);) {
		const struct referrer_key *k = key;
		const struct referrer *found = value;

		if (k->tag != TAG_BUFFER) /* what looks like a reference in memory is one only where a way says so */
			all[cnt++] = *found;
	}
	if (all)
		qsort(all, cnt, sizeof(*all), compare_referrers);
	if (cnt > max)
		cnt = max;
	for (size_t i = 0; i < cnt; i++) {
		ref_namer__step(ref_shapes__namer(r->shapes), all[i].from, all[i].role, all[i].via, &step);
		owner = all[i].role == ROLE_NAMESPACE ? graph__before(r->g, all[i].from, &via) : all[i].from;
		out[i] = (struct refs_referrer){
			.text = step.role == ROLE_NAMESPACE ? ".__dict__" : keep(r, all[i].cnt == 1 ? step.exact : step.general),
			.type = owner < GRAPH_ROOTS ? type_name(r, graph__tag(r->g, owner)) : NULL,
			.cnt = all[i].cnt,
		};
	}
	free(all);
	return cnt;
}
