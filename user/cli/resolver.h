/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names for what the BPF programs report as addresses: stacks and types of one process. A code object comes as the programs saw
 * it with its first stack; what did not fit is read now, and if the object was freed before that, its frame says "stale" and
 * nothing else.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

struct intern;
struct py_interp;
struct resolver;
struct stacks;
struct tracer;

/* All borrowed. NULL: out of memory. */
struct resolver *resolver__new(const struct py_interp *py, const struct tracer *t, struct intern *strings, struct stacks *stacks);
void resolver__free(struct resolver *r);

void resolver__add_code(struct resolver *r, const struct code_event *ev);
void resolver__add_stack(struct resolver *r, const struct stack_event *ev);
/* The model's id; 0 for a stack never reported; while names are not known to be right (python.h), of a stack without names. */
uint32_t resolver__stack(const struct resolver *r, uint32_t bpf_stack);

/* There were stacks, and none of them tells of a frame that stands where one can: none is shown. */
bool resolver__doubts_stacks(const struct resolver *r);

/* A forked child: what its parent knew is true of it too. */
void resolver__inherit(struct resolver *r, const struct resolver *parent);

/* Call once per reading: types are looked at anew, as another one may have taken the address. ALIVE: the target can be read. */
void resolver__begin(struct resolver *r, bool alive);
/* String id of the type's name, or of the use of memory that is no object. 0: unknown, as all are while names are not known to be right. */
uint32_t resolver__type(struct resolver *r, uint64_t type, bool *is_buffer);

#endif
