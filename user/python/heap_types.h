/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types by a small number (tag), looked up for each block of a heap: what an address is, type or not, is asked of the process once in a
 * reading. Tags last from one reading to the next; when another type takes the address of one, it gets another tag.
 */
#ifndef HEAP_TYPES_H
#define HEAP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "shape.h"

enum {
	TAG_NONE,   /* a place that is not live; as an answer: no type */
	TAG_BUFFER, /* live, no object */
	TAG_FIRST,  /* of types */
	TAG_END = 65536,
	HEAP_TYPES_FAST = 4096,
};

struct heap_count {
	int64_t live, bytes, old, fresh;
};

struct heap_type {
	uint64_t addr;  /* 0: this tag is free */
	uint64_t stamp; /* of what does not change in the life of a type */
	struct type_shape shape;
	struct heap_count count; /* of live blocks with this tag */
};

struct heap_types {
	const struct py_interp *py;
	struct heap_type *types; /* [tag] */
	uint32_t cnt, capacity;
	uint32_t first_unused; /* no free tag below */
	struct map tags; /* address -> uint16_t */
	struct map seen; /* address -> uint16_t, in this reading; TAG_NONE: no type */
	uint64_t reads;  /* of this reading */
	bool exhausted;  /* too many addresses were asked for, or no tags were left */
	int err;         /* the process is gone: what was no type in this reading may be one */
	struct {
		uint64_t addr;
		uint32_t tag;
	} fast[HEAP_TYPES_FAST]; /* of what is in SEEN */
};

void heap_types__init(struct heap_types *t, const struct py_interp *py);
void heap_types__free(struct heap_types *t);
/* Nothing that was asked before is taken for granted. */
void heap_types__begin(struct heap_types *t);
/* No block has this tag any more. */
void heap_types__drop(struct heap_types *t, uint32_t tag);

uint32_t heap_types__ask(struct heap_types *t, uint64_t addr);

/*
 * The tag of the object that the SIZE bytes of a block hold, and how far behind its begin the PyObject header is; TAG_BUFFER: none, *OFF is not
 * set. By the rule of py_block__object(), and with what debug hooks put in front. Looks at the first HEAP_TYPES_LOOK_BYTES at most.
 */
enum { HEAP_TYPES_LOOK_BYTES = 80 };
uint32_t heap_types__of_block(struct heap_types *t, const void *block, uint32_t size, uint32_t *off);

/* Are these two words what debug hooks put in front of what they give out? */
bool heap_types__is_hook(const uint64_t *words);

/* The tag of the type at ADDR, TAG_NONE: there is none. */
static inline uint32_t heap_types__tag(struct heap_types *t, uint64_t addr)
{
	size_t i = (addr >> 4 ^ addr >> 16) % HEAP_TYPES_FAST;

	return t->fast[i].addr == addr ? t->fast[i].tag : heap_types__ask(t, addr);
}

#endif
