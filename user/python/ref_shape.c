// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ref_shape.h"

#include <stdlib.h>
#include <string.h>

#include "graph_state.h"

enum {
	CYCLE_MAX = 4,        /* steps after which a way may repeat itself */
	SHAPES_MAX = 1 << 20, /* more are as good as none */
};

struct shape_key {
	uint64_t sort;
	uint32_t parent, tag;
};

struct ref_shapes {
	struct graph *g;
	struct ref_namer *namer;
	struct ref_shape *shapes;
	uint32_t cnt, capacity;
	struct map known; /* struct shape_key -> uint32_t */
	struct map texts; /* char[REF_TEXT_BYTES] -> char *, owned */
	uint32_t *of;     /* [node] its shape + 1 */
	uint32_t *path;   /* nodes whose shape is not known yet */
	size_t path_capacity;
};

struct ref_shapes *ref_shapes__new(struct graph *g, bool show_values)
{
	struct ref_shapes *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->g = g;
	s->namer = ref_namer__new(g, show_values);
	s->of = calloc(g->node_cnt + 1UL, sizeof(*s->of));
	map__init(&s->known, sizeof(struct shape_key), sizeof(uint32_t));
	map__init(&s->texts, REF_TEXT_BYTES, sizeof(char *));
	if (!s->namer || !s->of) {
		ref_shapes__free(s);
		return NULL;
	}
	return s;
}

void ref_shapes__free(struct ref_shapes *s)
{
	const void *key;
	void *value;

	if (!s)
		return;
	for (size_t i = 0; map__next(&s->texts, &i, &key, &value);)
		free(*(char **)value);
	map__free(&s->texts);
	map__free(&s->known);
	ref_namer__free(s->namer);
	free(s->shapes);
	free(s->of);
	free(s->path);
	free(s);
}

/* The same pointer for the same text; "" when there is no memory. */
static const char *keep_text(struct ref_shapes *s, const char *text)
{
	char key[REF_TEXT_BYTES] = "";
	bool existed;
	char **kept;

	strncpy(key, text, sizeof(key) - 1);
	kept = map__put(&s->texts, key, &existed);
	if (kept && !*kept)
		*kept = strdup(key);
	return kept && *kept ? *kept : "";
}

static uint32_t new_shape(struct ref_shapes *s, const struct ref_shape *shape)
{
	uint32_t capacity = s->capacity ? s->capacity * 2 : 1024;
	struct ref_shape *bigger;

	if (s->cnt == SHAPES_MAX)
		return SHAPE_NONE;
	if (s->cnt == s->capacity) {
		bigger = realloc(s->shapes, capacity * sizeof(*bigger));
		if (!bigger)
			return SHAPE_NONE;
		s->shapes = bigger;
		s->capacity = capacity;
	}
	s->shapes[s->cnt] = *shape;
	return s->cnt++;
}

/* The shape up to CYCLE_MAX steps before this one that is the same step. */
static uint32_t find_cycle(const struct ref_shapes *s, uint32_t parent, const struct ref_shape *shape)
{
	for (int i = 0; i < CYCLE_MAX && parent != SHAPE_NONE; i++, parent = s->shapes[parent].parent) {
		const struct ref_shape *p = &s->shapes[parent];

		/* a namespace, or a way into memory, is not a step of its own */
		if (p->parent != SHAPE_NONE && p->tag == shape->tag && p->role == shape->role && p->general == shape->general && *p->general &&
		    p->tag >= TAG_FIRST)
			return parent;
	}
	return SHAPE_NONE;
}

static uint32_t root_shape(struct ref_shapes *s, uint32_t root)
{
	const struct shape_key key = { root, SHAPE_NONE, 0 };
	bool existed;
	uint32_t *known = map__put(&s->known, &key, &existed);

	if (!known)
		return SHAPE_NONE;
	if (!existed)
		*known = new_shape(s, &(struct ref_shape){ .parent = SHAPE_NONE, .root = root, .general = "", .exact = "", .example = GRAPH_NONE });
	return *known;
}

static void note_exact(struct ref_shapes *s, uint32_t shape, uint32_t from, enum ref_role role, uint32_t via)
{
	struct ref_step step;

	if (s->shapes[shape].varies || !ref_namer__varies(role, via))
		return;
	ref_namer__step(s->namer, from, role, via, &step);
	s->shapes[shape].varies = keep_text(s, step.exact) != s->shapes[shape].exact;
}

static uint32_t make_shape(struct ref_shapes *s, uint32_t parent, uint32_t from, uint32_t node, uint32_t via)
{
	struct ref_shape shape = { .parent = parent, .root = s->shapes[parent].root, .tag = graph__tag(s->g, node), .example = node };
	struct ref_step step;
	uint32_t cycle;

	ref_namer__step(s->namer, from, s->shapes[parent].role, via, &step);
	shape.role = step.role;
	shape.general = keep_text(s, step.general);
	shape.exact = keep_text(s, step.exact);
	cycle = find_cycle(s, parent, &shape);
	if (cycle == SHAPE_NONE)
		return new_shape(s, &shape);
	s->shapes[cycle].repeats = s->shapes[cycle].varies = true;
	return cycle;
}

static uint32_t shape_after(struct ref_shapes *s, uint32_t parent, uint32_t from, uint32_t node, uint32_t via)
{
	const struct shape_key key = { ref_namer__sort(s->namer, from, s->shapes[parent].role, via), parent, graph__tag(s->g, node) };
	uint32_t *known = map__get(&s->known, &key), shape;

	if (known) {
		if (*known != SHAPE_NONE)
			note_exact(s, *known, from, s->shapes[parent].role, via);
		return *known;
	}
	shape = make_shape(s, parent, from, node, via);
	known = map__put(&s->known, &key, NULL);
	if (known)
		*known = shape;
	return shape;
}

static bool push(struct ref_shapes *s, size_t cnt, uint32_t node)
{
	size_t capacity = s->path_capacity ? s->path_capacity * 2 : 1024;
	uint32_t *bigger;

	if (cnt == s->path_capacity) {
		bigger = realloc(s->path, capacity * sizeof(*bigger));
		if (!bigger)
			return false;
		s->path = bigger;
		s->path_capacity = capacity;
	}
	s->path[cnt] = node;
	return true;
}

uint32_t ref_shapes__of(struct ref_shapes *s, uint32_t node)
{
	size_t cnt = 0;
	uint32_t at = node, shape, via;

	while (at < GRAPH_ROOTS && !s->of[at]) {
		if (!push(s, cnt++, at))
			return SHAPE_NONE;
		at = graph__before(s->g, at, &via);
	}
	if (at == GRAPH_NONE)
		return SHAPE_NONE;
	shape = at >= GRAPH_ROOTS ? root_shape(s, at) : s->of[at] - 1;
	for (; cnt && shape != SHAPE_NONE; cnt--) {
		uint32_t from = graph__before(s->g, s->path[cnt - 1], &via);

		shape = shape_after(s, shape, from, s->path[cnt - 1], via);
		if (shape == SHAPE_NONE)
			break;
		s->shapes[shape].nodes++;
		s->of[s->path[cnt - 1]] = shape + 1;
	}
	return shape;
}

const struct ref_shape *ref_shapes__get(const struct ref_shapes *s, uint32_t shape)
{
	return &s->shapes[shape];
}

uint32_t ref_shapes__cnt(const struct ref_shapes *s)
{
	return s->cnt;
}

struct ref_namer *ref_shapes__namer(struct ref_shapes *s)
{
	return s->namer;
}
