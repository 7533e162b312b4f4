/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who keeps objects alive: the ways from roots to all objects of a type, summed up by their shape. */
#ifndef REFS_H
#define REFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph.h"

struct refs; /* opaque: the answer to one question */

struct refs_query {
	const char *type;  /* qualified name, or what stands behind one of its dots; or what a buffer is for (block_use__name()); NULL: */
	uint64_t addr;     /* this object, or the block that it is in */
	const uint64_t *blocks; /* or: of TYPE, those in these blocks, in ascending order; NULL: all */
	size_t blocks_cnt;
	bool show_values;  /* keys of dicts that are no names of the program's, too */
};

/* One part of a way: "app.REGISTRY[*]", ".user". Text is raw, good until refs__free(). */
struct refs_part {
	const char *text;
	const char *type; /* of what it leads to; NULL: unknown, "(memory)": no object */
};

enum { REFS_PARTS_MAX = 40 };

struct refs_chain {
	enum graph_root_kind kind;
	bool is_class;       /* ROOT names a class, that the way leads through; KIND says how that is reached */
	const char *root;    /* module, function, library; NULL: none */
	int line;            /* ROOT_FRAME: which is executed; 0: unknown */
	uint64_t objects, bytes; /* bytes: of their blocks */
	struct refs_part parts[REFS_PARTS_MAX]; /* from the root on */
	size_t parts_cnt;
	bool cut;            /* there were more parts: these are the first and the last ones */
	uint64_t example;    /* address of one of the objects */
	uint64_t found, refcnt; /* of that one: references that were found, and that it counts */
	bool counts_known;
	int64_t unexplained; /* references that nothing explains, of each object on average */
};

/* What refers to them directly. */
struct refs_referrer {
	const char *text; /* ".user", "[*]" */
	const char *type; /* of the object that refers */
	uint64_t cnt;
};

/*
 * 0, or -ENOENT: no live object is of that type, or at that address; -E2BIG: more than one type has that name (behind a dot): *NAMES are some of
 * them, one a line, owned by the caller; -ENOMEM.
 */
int refs__new(struct graph *g, const struct refs_query *q, struct refs **out, char **names);
void refs__free(struct refs *r);

/* The type's whole name, raw; NULL: unknown. */
const char *refs__type(const struct refs *r);
uint64_t refs__objects(const struct refs *r);
/* The most frequent first; of buffers, the largest. At most MAX; returns how many. */
size_t refs__chains(struct refs *r, struct refs_chain *out, size_t max);
size_t refs__referrers(struct refs *r, struct refs_referrer *out, size_t max);

#endif
