/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What refs.c finds, and refs_tell.c puts into words. */
#ifndef REFS_STATE_H
#define REFS_STATE_H

#include "graph_state.h"
#include "ref_shape.h"
#include "refs.h"

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

/* refs_tell.c: raw, good as long as REFS; NULL: unknown. */
const char *refs__type_name(struct refs *refs, uint32_t tag);

#endif
