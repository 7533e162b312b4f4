/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways with the same names are one shape: a tree from the roots on, each of its nodes a step. What repeats itself (a list whose elements are linked)
 * goes around in it, so that it stays small.
 */
#ifndef REF_SHAPE_H
#define REF_SHAPE_H

#include "ref_name.h"

struct graph;
struct ref_shapes; /* opaque */

#define SHAPE_NONE UINT32_MAX

struct ref_shape {
	uint32_t parent; /* SHAPE_NONE: a root */
	uint32_t root;   /* of the graph */
	uint32_t tag;    /* of the type */
	enum ref_role role;
	const char *general, *exact;
	bool varies;     /* EXACT is not the same for all */
	bool repeats;    /* once or more */
	uint32_t example; /* a node */
	uint64_t nodes;  /* that have it */
};

struct ref_shapes *ref_shapes__new(struct graph *g, bool show_values); /* NULL: out of memory */
void ref_shapes__free(struct ref_shapes *s);

/* SHAPE_NONE: no way leads to it, or out of memory. */
uint32_t ref_shapes__of(struct ref_shapes *s, uint32_t node);
const struct ref_shape *ref_shapes__get(const struct ref_shapes *s, uint32_t shape);
uint32_t ref_shapes__cnt(const struct ref_shapes *s);
struct ref_namer *ref_shapes__namer(struct ref_shapes *s);

#endif
