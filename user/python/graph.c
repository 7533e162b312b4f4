// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "graph_state.h"
#include "layout.h"

const char *graph_root_kind__name(enum graph_root_kind kind)
{
	static const char *const names[ROOT_KINDS] = {
		[ROOT_MODULE] = "module",   [ROOT_FRAME] = "frame",		[ROOT_INTERPRETER] = "interpreter", [ROOT_LIBRARY] = "library",
		[ROOT_MEMORY] = "c-memory", [ROOT_REFERENCE] = "c-reference", [ROOT_GARBAGE] = "garbage",
	};

	return kind < ROOT_KINDS ? names[kind] : "unknown";
}

struct graph *graph__new(const struct py_interp *py)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->py = py;
	g->census = census__new(py);
	if (!g->census) {
		free(g);
		return NULL;
	}
	return g;
}

void graph__free(struct graph *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->root_cnt; i++)
		free(g->roots[i].name);
	if (g->image)
		munmap(g->image, g->image_bytes);
	census__free(g->census);
	free(g->roots);
	free(g->tags);
	free(g->object_offs);
	free(g->before);
	free(g->via);
	free(g->found);
	free(g->flags);
	free(g->queue);
	free(g->pools);
	free(g->pool_index);
	free(g->chunks);
	free(g->page_index);
	free(g->chunk_image);
	free(g->types);
	free(g);
}

void graph__set_freezer(struct graph *g, struct freezer *f, uint64_t max_ns)
{
	g->freezer = f;
	g->max_pause_ns = max_ns;
}

void graph__set_max_bytes(struct graph *g, uint64_t bytes)
{
	g->max_bytes = bytes;
}

uint64_t graph__needs(const struct graph *g)
{
	return g->needs_bytes;
}

/* Its resident memory, and half of that for blocks as small as malloc's are: measured, docs/refs.md. */
static int check_room(struct graph *g, uint64_t rss_bytes)
{
	uint64_t most = g->max_bytes ? g->max_bytes : procfs__available_bytes();

	g->needs_bytes = rss_bytes + rss_bytes / 2;
	return most && g->needs_bytes > most ? -E2BIG : 0;
}

/* Blocks, and then what was too large to be kept, frames and names: all of one moment if the process is held. */
static int read_all(struct graph *g)
{
	int err = graph__read_blocks(g);

	census__stats(g->census, &g->stats);
	if (!err)
		err = graph__find_ways(g);
	free(g->queue);
	g->queue = NULL;
	return err;
}

int graph__read(struct graph *g)
{
	struct freeze_result freeze = { 0 };
	struct proc_status status;
	uint64_t ran_before = 0, ran_after = 0;
	int err = process__status(&g->py->proc, &status), freeze_err = 0;
	bool known;

	if (!err)
		err = check_room(g, status.rss_bytes);
	if (err)
		return err;
	if (g->freezer)
		freeze_err = freezer__hold(g->freezer, g->py->pid, status.start_ticks, g->max_pause_ns);
	known = !process__run_ns(&g->py->proc, &ran_before);
	err = read_all(g);
	known = known && !process__run_ns(&g->py->proc, &ran_after);
	if (g->freezer && !freeze_err)
		freezer__release(g->freezer, &freeze);
	g->stats.ran_known = known;
	g->stats.ran = !known || ran_before != ran_after;
	g->stats.freeze = freeze;
	g->stats.freeze_err = freeze_err;
	return err;
}

void graph__stats(const struct graph *g, struct census_stats *out)
{
	*out = g->stats;
}

uint32_t graph__node_cnt(const struct graph *g)
{
	return g->node_cnt;
}

bool graph__is_live(const struct graph *g, uint32_t node)
{
	return graph__tag(g, node) != TAG_NONE;
}

bool graph__is_leaf(const struct graph *g, uint32_t node)
{
	uint32_t tag = graph__tag(g, node);

	return tag >= TAG_FIRST && tag < g->type_capacity && g->types[tag].kind == KIND_LEAF;
}

uint64_t graph__node_type(const struct graph *g, uint32_t node)
{
	uint32_t tag = graph__tag(g, node);

	return tag >= TAG_FIRST ? g->census->heap->types.types[tag].addr : 0;
}

uint64_t graph__node_addr(const struct graph *g, uint32_t node)
{
	uint64_t bytes;
	uint32_t object_off;
	uint64_t block = graph__block(g, node, &bytes, &object_off);

	return block + object_off;
}

uint32_t graph__find_object(const struct graph *g, uint64_t addr)
{
	const uint32_t offs[] = { 0, 16, 24, 32, 48 };
	uint32_t node;

	for (size_t i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		node = graph__of_word(g, addr + offs[i]);
		if (node != GRAPH_NONE && graph__tag(g, node) >= TAG_FIRST)
			return node;
	}
	return GRAPH_NONE;
}

uint32_t graph__before(const struct graph *g, uint32_t node, uint32_t *via)
{
	*via = g->via[node];
	return g->before[node];
}

const struct graph_root *graph__root(const struct graph *g, uint32_t root)
{
	return &g->roots[root - GRAPH_ROOTS];
}

bool graph__counts(const struct graph *g, uint32_t node, uint64_t *found, uint64_t *refcnt)
{
	uint64_t addr, word;

	if (graph__tag(g, node) < TAG_FIRST)
		return false;
	addr = graph__node_addr(g, node);
	if (graph__is_leaf(g, node)) { /* not kept */
		if (remote__read_u64(&g->py->mem, addr, &word))
			return false;
	} else {
		const void *bytes = graph__bytes(g, addr, 8, &word);

		if (!bytes)
			return false;
		memcpy(&word, bytes, sizeof(word));
	}
	word &= g->py->layout->refcnt_mask;
	*found = g->found[node];
	*refcnt = word;
	return word < SHAPE_REFCNT_MAX; /* immortal ones have more */
}
