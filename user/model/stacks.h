/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Python stacks <-> small dense ids, and which frame of a stack is the user's own code. */
#ifndef STACKS_H
#define STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern;
struct stacks;

#define FRAME_STALE 1 /* the code object was gone or replaced when its names were read */
#define FRAME_CUT 2   /* it had callers: beyond --depth, or not to be followed */

struct frame {
	uint32_t file;     /* ids of the intern table; 0: unknown */
	uint32_t line;     /* 0: unknown */
	uint32_t function;
	uint32_t flags;    /* of FRAME_* */
};

/* STRINGS is borrowed: it holds the files and functions, and must live longer. NULL: out of memory. */
struct stacks *stacks__new(const struct intern *strings);
void stacks__free(struct stacks *st);

/* The id of this stack, innermost frame first. Id 0 is the empty stack, which means "unknown". 0 or -ENOMEM. */
int stacks__id(struct stacks *st, const struct frame *frames, size_t cnt, uint32_t *id);
/* Good until stacks__free; *CNT is 0 for unknown ids. */
const struct frame *stacks__get(const struct stacks *st, uint32_t id, size_t *cnt);
uint32_t stacks__cnt(const struct stacks *st);

/*
 * Which frame of the stack is the innermost of the user's own code: not the standard library, not site-packages. Code that is in no
 * file (`python -c`, exec(), the methods that dataclasses write) comes second, else it is the innermost frame: 0.
 */
size_t stacks__app_frame(const struct stacks *st, uint32_t id);

enum file_origin {
	FILE_LIBRARY, /* .../lib/python3.N/..., site-packages, dist-packages, <frozen ...>, unknown */
	FILE_NO_FILE, /* <string>, <stdin>, ... */
	FILE_APP,
};
enum file_origin file__origin(const char *file);

#endif
