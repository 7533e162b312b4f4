// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The shortest way from the first kind of root that has one, to each node. */
#include <errno.h>
#include <stdlib.h>

#include "graph_state.h"
#include "layout.h"

static bool reaches(struct graph *g, uint32_t from, uint32_t to, uint32_t via)
{
	if (g->before[to] != GRAPH_NONE)
		return false;
	g->before[to] = from;
	g->via[to] = via;
	g->queue[g->queue_to++] = to;
	return true;
}

static void count(struct graph *g, uint32_t to)
{
	if (g->counting && g->found[to] != UINT32_MAX)
		g->found[to]++;
}

static void visit_node(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	struct graph *g = graph;

	count(g, to);
	reaches(g, from, to, via);
}

/* A module is referred to by sys.modules, too, and that is what counts. */
static void visit_module(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	reaches(graph, from, to, via);
}

static void scan(struct graph *g, uint32_t node, graph_visit visit)
{
	g->counting = !(g->flags[node] & NODE_COUNTED);
	g->flags[node] |= NODE_COUNTED;
	graph__scan(g, node, visit, g);
}

static void walk(struct graph *g)
{
	while (g->queue_from < g->queue_to && !g->err)
		scan(g, g->queue[g->queue_from++], visit_node);
}

static bool is_object(const struct graph *g, uint32_t node)
{
	return graph__tag(g, node) >= TAG_FIRST;
}

/* A buffer that an object without a way has is that object's, not a root. */
static void visit_lost(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	struct graph *g = graph;

	(void)from;
	(void)via;
	count(g, to);
	if (!is_object(g, to) && g->before[to] == GRAPH_NONE)
		g->flags[to] |= NODE_HELD;
}

/* The node by itself: nothing that was found leads to it. */
static void begin_with(struct graph *g, uint32_t node, enum graph_root_kind kind)
{
	uint32_t root = graph__add_root(g, &(struct graph_root){ .kind = kind });

	if (root != GRAPH_NONE)
		reaches(g, root, node, GRAPH_VIA(PLACE_WORD, 0));
}

static void each_lost(struct graph *g, void (*tell)(struct graph *g, uint32_t node))
{
	for (uint32_t node = 0; node < g->node_cnt && !g->err; node++)
		if (g->before[node] == GRAPH_NONE && graph__tag(g, node) != TAG_NONE)
			tell(g, node);
}

static void look_at_lost(struct graph *g, uint32_t node)
{
	if (is_object(g, node))
		scan(g, node, visit_lost);
}

static void begin_with_memory(struct graph *g, uint32_t node)
{
	if (!is_object(g, node) && !(g->flags[node] & (NODE_OWNED | NODE_HELD)))
		begin_with(g, node, ROOT_MEMORY);
}

static void begin_with_reference(struct graph *g, uint32_t node)
{
	uint64_t found, refcnt;

	if (!graph__counts(g, node, &found, &refcnt) || found >= refcnt)
		return;
	begin_with(g, node, ROOT_REFERENCE);
	walk(g);
}

static void begin_with_garbage(struct graph *g, uint32_t node)
{
	begin_with(g, node, ROOT_GARBAGE);
	walk(g);
}

/* What is told of a circle begins with an instance of a class of the program's rather than with what that one is made of. */
static void begin_with_plain_garbage(struct graph *g, uint32_t node)
{
	const struct graph_type *t = is_object(g, node) ? graph__type(g, graph__tag(g, node)) : NULL;

	if (t && t->kind == KIND_PLAIN)
		begin_with_garbage(g, node);
}

static void begin_with_any_garbage(struct graph *g, uint32_t node)
{
	if (is_object(g, node))
		begin_with_garbage(g, node);
}

static int make_room(struct graph *g)
{
	size_t cnt = g->node_cnt + 1UL;

	g->before = malloc(cnt * sizeof(*g->before));
	g->via = malloc(cnt * sizeof(*g->via));
	g->queue = malloc(cnt * sizeof(*g->queue));
	g->found = calloc(cnt, sizeof(*g->found));
	g->flags = calloc(cnt, 1);
	if (!g->before || !g->via || !g->queue || !g->found || !g->flags)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		g->before[i] = GRAPH_NONE;
	return 0;
}

int graph__find_ways(struct graph *g)
{
	int err = make_room(g);

	if (err)
		return err;
	graph__modules(g, visit_module);
	walk(g);
	g->counting = g->py->layout->code_localsplus_names != NO_OFF; /* else frames are objects, and counted as such */
	graph__frames(g, visit_node);
	walk(g);
	for (int of_interpreter = 1; of_interpreter >= 0 && !g->err; of_interpreter--) {
		g->counting = true;
		graph__variables(g, of_interpreter, visit_node);
		walk(g);
	}
	each_lost(g, look_at_lost);
	each_lost(g, begin_with_memory);
	walk(g);
	each_lost(g, begin_with_reference);
	each_lost(g, begin_with_plain_garbage);
	each_lost(g, begin_with_any_garbage);
	return g->err;
}
