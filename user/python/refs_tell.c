// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ways as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "refs_state.h"

enum {
	NAME_MAX_BYTES = 1100,
	TOLD_MAX = 16384, /* ways that are put into words: the most frequent ones */
	DEPTH_MAX = 4096, /* steps of a shape: what repeats itself is one */
};

#define TEXT_OF_MEMORY "(memory)"

const char *refs__type_name(struct refs *r, uint32_t tag)
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
	const char *type = refs__type_name(r, s->tag), *text = text_of(s);
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
			.type = owner < GRAPH_ROOTS ? refs__type_name(r, graph__tag(r->g, owner)) : NULL,
			.cnt = all[i].cnt,
		};
	}
	free(all);
	return cnt;
}
