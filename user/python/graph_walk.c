// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The shortest way from the first kind of root that has one, to each node.
 *
 * What an object refers to by its layout it does refer to. What looks like a reference in other memory may be left over from before: it is one only if the
 * object counts more references than objects and frames explain.
 */
#include <errno.h>
#include <stdlib.h>

#include "graph_state.h"
#include "layout.h"

static bool is_object(const struct graph *g, uint32_t node)
{
	return graph__tag(g, node) >= TAG_FIRST;
}

static void count(struct graph *g, uint32_t to)
{
	if (g->found[to] != UINT32_MAX)
		g->found[to]++;
}

static void reach(struct graph *g, uint32_t from, uint32_t to, uint32_t via)
{
	if (g->before[to] != GRAPH_NONE)
		return;
	g->before[to] = from;
	g->via[to] = via;
	g->queue[g->queue_to++] = to;
}

static void count_visit(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	struct graph *g = graph;

	(void)via;
	count(g, to);
	if (!is_object(g, to) && from < GRAPH_ROOTS)
		g->flags[to] |= NODE_HELD;
}

/* From what is surely a reference, and is counted already. */
static void visit_surely(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	reach(graph, from, to, via);
}

/* From memory that is no object's. */
static void visit_perhaps(void *graph, uint32_t from, uint32_t to, uint32_t via)
{
	struct graph *g = graph;
	uint64_t found, refcnt;

	if (graph__counts(g, to, &found, &refcnt)) {
		if (found >= refcnt)
			return;
		count(g, to);
	}
	reach(g, from, to, via);
}

static void walk(struct graph *g)
{
	while (g->queue_from < g->queue_to && !g->err) {
		uint32_t node = g->queue[g->queue_from++];

		graph__scan(g, node, is_object(g, node) ? visit_surely : visit_perhaps, g);
	}
}

static void count_all(struct graph *g)
{
	for (uint32_t node = 0; node < g->node_cnt && !g->err; node++)
		if (is_object(g, node))
			graph__scan(g, node, count_visit, g);
	/* to 3.10 frames are objects */
	if (g->py->layout->code_localsplus_names != NO_OFF)
		graph__frames(g, count_visit);
}

/* The node by itself: nothing that was found leads to it. */
static void begin_with(struct graph *g, uint32_t node, enum graph_root_kind kind)
{
	uint32_t root = graph__add_root(g, &(struct graph_root){ .kind = kind });

	if (root != GRAPH_NONE)
		reach(g, root, node, GRAPH_VIA(PLACE_WORD, 0));
}

static void each_lost(struct graph *g, void (*tell)(struct graph *g, uint32_t node))
{
	for (uint32_t node = 0; node < g->node_cnt && !g->err; node++)
		if (g->before[node] == GRAPH_NONE && graph__tag(g, node) != TAG_NONE)
			tell(g, node);
}

static void begin_with_memory(struct graph *g, uint32_t node)
{
	if (is_object(g, node) || g->flags[node] & (NODE_OWNED | NODE_HELD))
		return;
	begin_with(g, node, ROOT_MEMORY);
	walk(g);
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
	graph__close_states(g, true);
	count_all(g);
	graph__modules(g, visit_surely);
	walk(g);
	graph__frames(g, visit_surely);
	walk(g);
	graph__close_states(g, false);
	graph__stacks(g, visit_perhaps);
	walk(g);
	for (int of_interpreter = 1; of_interpreter >= 0 && !g->err; of_interpreter--) {
		graph__variables(g, of_interpreter, visit_perhaps);
		walk(g);
	}
	each_lost(g, begin_with_memory);
	each_lost(g, begin_with_reference);
	each_lost(g, begin_with_plain_garbage);
	each_lost(g, begin_with_any_garbage);
	return g->err;
}
