/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a reference from one node of a graph to another is called in Python: an attribute, a key, an index, a local variable. */
#ifndef REF_NAME_H
#define REF_NAME_H

#include <stdbool.h>
#include <stdint.h>

struct graph;
struct py_interp;
struct ref_namer; /* opaque: keeps what it has read once. Not for more than one graph */

/* G must outlive it. SHOW_VALUES: keys that are no names of the program's (numbers, text that came from elsewhere) are told, too. */
struct ref_namer *ref_namer__new(struct graph *g, bool show_values); /* NULL: out of memory */
void ref_namer__free(struct ref_namer *n);

/* What the node after a step is, where that decides how the next step is called. */
enum ref_role {
	ROLE_NONE,
	ROLE_NAMESPACE, /* the dict of an instance, a class or a module: its entries are attributes */
	ROLE_CLOSURE,   /* a function's tuple of cells */
	ROLE_CELL,      /* a cell of one */
};

#define REF_TEXT_BYTES 160

struct ref_step {
	enum ref_role role; /* of the node that the step leads to */
	/* ".name" begins a new part, "[...]" and "{...}" go on with it; "" where nothing is to be said. Raw text of the target is in them. */
	char general[REF_TEXT_BYTES]; /* what it has in common with others: "[*]" */
	char exact[REF_TEXT_BYTES];   /* "[4711]"; often the same */
};

/* Equal for steps from nodes of one type whose general text is the same; cheap. */
uint64_t ref_namer__sort(struct ref_namer *n, uint32_t from, enum ref_role from_role, uint32_t via);
/* May steps of that sort differ in their exact text? */
bool ref_namer__varies(enum ref_role from_role, uint32_t via);

/* The step from the node (or root) FROM, whose role is FROM_ROLE, by its word VIA. */
void ref_namer__step(struct ref_namer *n, uint32_t from, enum ref_role from_role, uint32_t via, struct ref_step *out);

#endif
