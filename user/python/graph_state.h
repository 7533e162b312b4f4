/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What graph.c answers from, and who fills it: graph_read.c blocks and what they hold, graph_types.c what is known of their types, graph_scan.c
 * references, graph_roots.c roots, graph_walk.c the ways.
 */
#ifndef GRAPH_STATE_H
#define GRAPH_STATE_H

#include "census_state.h"
#include "graph.h"

/* What decides which words of an object refer, and what they are called. */
enum graph_kind {
	KIND_PLAIN,
	KIND_LEAF, /* refers to nothing */
	KIND_RAW,  /* refers to a buffer that refers to nothing: numbers, text */
	KIND_LIST,
	KIND_DICT,
	KIND_SET,
	KIND_DEQUE,
	KIND_TUPLE,
	KIND_WEAKREF,
	KIND_MODULE,
	KIND_TYPE,
	KIND_CODE,
	KIND_FUNCTION,
	KIND_CELL,
	KIND_FRAME,
	KIND_GENERATOR, /* coroutines, too */
	KIND_TRACEBACK,
	KIND_EXCEPTION,
};

/* By tag. */
struct graph_type {
	bool known;
	enum graph_kind kind;
	bool managed;       /* words in front of instances: values and dict, or the dict alone */
	bool inline_values; /* 3.13+ */
	bool weakrefs_in_front; /* 3.12+ */
	int64_t basicsize, itemsize, dictoffset, weaklistoffset;
	uint64_t cached_keys; /* of instances that keep values without keys (3.11+); 0: none */
	uint32_t values_cnt;  /* as many places have those, 3.11 and 3.12 */
	uint32_t items_off; /* KIND_TUPLE */
};

/* What of a pool's blocks is nodes FIRST and on. */
struct graph_pool {
	uint64_t addr;
	uint32_t first;
	uint16_t block_bytes;
};

struct graph_chunk {
	uint64_t addr, bytes;
	uint64_t image_off; /* + 1; 0: not kept, to be read when needed */
	uint16_t tag;
	uint8_t object_off;
};

enum { GRAPH_PIECE_BYTES = 64 << 10 };

struct graph {
	const struct py_interp *py;
	struct census *census;
	struct census_observer observer;
	struct freezer *freezer; /* NULL: not wanted */
	uint64_t max_pause_ns, max_bytes, needs_bytes;
	struct census_stats stats;
	int err;
	/* Nodes: blocks of pools first, then chunks. */
	uint32_t node_cnt, block_cnt, capacity;
	uint16_t *tags;      /* [block]; TAG_NONE: not live */
	uint8_t *object_offs; /* [block] */
	uint32_t *before, *via; /* [node] */
	uint32_t *found;     /* [node] words that refer to it */
	uint8_t *flags;      /* [node] */
	struct graph_pool *pools;
	uint32_t pool_cnt, pool_capacity, pool_bytes;
	unsigned char *image; /* pools, one behind the other; mapped, only what was written exists */
	uint64_t image_bytes;
	uint32_t *pool_index; /* by a hash of the address, which pool + 1 */
	uint32_t pool_index_bits;
	struct graph_chunk *chunks; /* by address */
	uint32_t chunk_cnt, chunk_capacity;
	uint32_t *page_index; /* by a hash of the page, the first chunk in it + 1 */
	uint32_t page_index_bits;
	unsigned char *chunk_image;
	uint64_t chunk_image_bytes, chunk_image_capacity;
	uint64_t low, high; /* no node is below or above */
	struct graph_type *types; /* [tag] */
	uint32_t type_capacity;
	uint64_t traceback_type;
	struct graph_root *roots;
	uint32_t root_cnt, root_capacity;
	uint32_t *queue; /* [node] */
	uint32_t queue_from, queue_to;
	unsigned char piece[GRAPH_PIECE_BYTES];
};

enum {
	NODE_OWNED = 1,   /* a buffer whose owner's layout says what is in it */
	NODE_HELD = 2,    /* a buffer that an object leads to */
};

/* graph_read.c */
int graph__read_blocks(struct graph *g);
/* NODE_NONE, or the node that a word with this value refers to. */
uint32_t graph__of_word(const struct graph *g, uint64_t word);
/* SIZE bytes at ADDR from the image, or read into SCRATCH; NULL: cannot be had. */
const void *graph__bytes(const struct graph *g, uint64_t addr, uint32_t size, void *scratch);
uint32_t graph__tag(const struct graph *g, uint32_t node);
/* Where its block begins, how long it is, how far behind its begin the header is. */
uint64_t graph__block(const struct graph *g, uint32_t node, uint64_t *bytes, uint32_t *object_off);

/* graph_types.c: NULL: out of memory, g->err is set. */
const struct graph_type *graph__type(struct graph *g, uint32_t tag);
/* PyTupleObject.ob_item: behind what the type says is fixed (3.14 has a hash before it). */
uint32_t graph__tuple_items_off(const struct py_interp *py);

/* graph_roots.c: each calls VISIT with what its roots refer to. */
void graph__modules(struct graph *g, graph_visit visit);
void graph__frames(struct graph *g, graph_visit visit);
/*
 * Not to be looked into: tables of dicts that wait in free lists (3.10+), which are in use for pymalloc; and, until they are opened again, states of threads
 * and interpreters, which other memory leads to, too.
 */
void graph__close_states(struct graph *g, bool closed);
/* The evaluation stacks of frames that run. Where they end nobody can tell from outside. */
void graph__stacks(struct graph *g, graph_visit visit);
/* How many locals, cells and free variables it has. */
uint64_t graph__locals_cnt(const struct graph *g, uint64_t code);
void graph__variables(struct graph *g, bool of_interpreter, graph_visit visit);
/* Its number, with GRAPH_ROOTS added; GRAPH_NONE: out of memory. NAME is copied. */
uint32_t graph__add_root(struct graph *g, const struct graph_root *root);

/* graph_scan.c: words at [START, END), variables or a state of the interpreter. */
void graph__scan_state(struct graph *g, uint32_t from, uint64_t start, uint64_t end, graph_visit visit, void *ctx);

/* graph_walk.c */
int graph__find_ways(struct graph *g);

#endif
