/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which block of a heap refers to which: one reading of the census (census.h), kept as an image, and the ways from the roots through it.
 *
 * A reference is a word that holds the address of an object, or one that leads into a buffer. Of lists, dicts, sets, deques, tuples and weak references
 * only those words count that are references by their layout; of everything else, C structures included, all that look like one. So a way may lead
 * through what is left over in memory that is not cleared, but not in those containers.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct census_stats;
struct freezer;
struct py_interp;
struct graph; /* opaque; for one thread at a time */

/*
 * A node is a block: an object or a buffer. Numbers below graph__node_cnt(); not each of them is a live block. From GRAPH_ROOTS on they are roots.
 * Some 16 bytes each, and what blocks hold that may refer to others is kept.
 */
#define GRAPH_NONE UINT32_MAX
#define GRAPH_ROOTS 0xf0000000u

/* Which word of a node it is that refers: what kind of place, and which of them. */
enum graph_place {
	PLACE_WORD,  /* WORDS * 8 bytes behind the PyObject header's begin, or the begin of a buffer */
	PLACE_ITEM,  /* of a list, tuple, deque or set: its position */
	PLACE_KEY,   /* of a dict: entry */
	PLACE_VALUE, /* of a dict: entry */
	PLACE_ATTR,  /* of an instance that keeps its values in itself or beside: position in the keys of its type */
	PLACE_DICT,  /* the dict in front of an instance (3.11+) */
	PLACE_LOCAL, /* of a frame that is a root: position among its locals, cells and free variables; behind those is its evaluation stack */
};
#define GRAPH_VIA(place, index) ((uint32_t)(place) << 28 | ((index) & 0xfffffff))
#define GRAPH_PLACE(via) ((enum graph_place)((via) >> 28))
#define GRAPH_INDEX(via) ((via) & 0xfffffff)

/* In the order in which they are followed: what a module leads to is not said to be held by a frame. */
enum graph_root_kind {
	ROOT_MODULE,      /* in sys.modules */
	ROOT_FRAME,       /* of a running thread */
	ROOT_INTERPRETER, /* variables and states of the interpreter itself */
	ROOT_LIBRARY,     /* variables of another library, a C extension for one */
	ROOT_MEMORY,      /* memory that is no object's, from malloc for one */
	ROOT_REFERENCE,   /* an object whose references are not all found: C code holds the others */
	ROOT_GARBAGE,     /* what only refers to itself: the collector has not freed it yet, or cannot */
	ROOT_KINDS,
};
const char *graph_root_kind__name(enum graph_root_kind kind); /* "module": as in JSON */

struct graph_root {
	enum graph_root_kind kind;
	char *name;     /* of a module, a function, a library; NULL: none. Raw text of the target */
	uint64_t frame, code; /* ROOT_FRAME */
	int line;             /* which is executed; 0: unknown */
};

/* PY must outlive it. NULL: out of memory. */
struct graph *graph__new(const struct py_interp *py);
void graph__free(struct graph *g);

/* To hold the process still while it is read, for MAX_NS at most; as in struct census_options. Borrowed. */
void graph__set_freezer(struct graph *g, struct freezer *f, uint64_t max_ns);
/* The most memory that it may take; 0: what is free on this host. */
void graph__set_max_bytes(struct graph *g, uint64_t bytes);
/* One reading, and the ways from all roots. Once. As census__read(); -E2BIG: it would take more memory than it may, graph__needs() says how much. */
int graph__read(struct graph *g);
/* About so many bytes: the heap is copied, and each block has some more. */
uint64_t graph__needs(const struct graph *g);
/* Of the whole of it. */
void graph__stats(const struct graph *g, struct census_stats *out);

uint32_t graph__node_cnt(const struct graph *g);
/* The type's address, 0: a buffer, or no live block. */
uint64_t graph__node_type(const struct graph *g, uint32_t node);
/* Of its header; of a buffer: of its begin. */
uint64_t graph__node_addr(const struct graph *g, uint32_t node);
/* The object at ADDR, which may be where its block begins, too. GRAPH_NONE: there is none. */
uint32_t graph__find_object(const struct graph *g, uint64_t addr);
/* Has a live block. */
bool graph__is_live(const struct graph *g, uint32_t node);
bool graph__is_leaf(const struct graph *g, uint32_t node);

/* The way that leads to it: the node before it, or a root; *VIA: which of that one's words. GRAPH_NONE: none leads to it. */
uint32_t graph__before(const struct graph *g, uint32_t node, uint32_t *via);
const struct graph_root *graph__root(const struct graph *g, uint32_t root);

/* How many words were found that refer to it; its own count of references. false: that says nothing (immortal, or no object). */
bool graph__counts(const struct graph *g, uint32_t node, uint64_t *found, uint64_t *refcnt);

/* Each reference out of NODE. Buffers of known containers are passed over: what is in them is their owner's. */
typedef void (*graph_visit)(void *ctx, uint32_t from, uint32_t to, uint32_t via);
void graph__scan(struct graph *g, uint32_t node, graph_visit visit, void *ctx);

#endif
