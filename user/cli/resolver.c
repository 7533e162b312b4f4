// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "intern.h"
#include "map.h"
#include "object.h"
#include "python.h"
#include "resolver.h"
#include "stacks.h"
#include "tracer.h"

struct code_key {
	uint64_t code;
	uint32_t gen, pad;
};

struct code_names {
	struct py_code code;
	uint32_t file, function;
	bool stale;
};

struct type_name {
	uint64_t stamp;
	uint32_t name;
	uint32_t checked; /* number of the reading */
};

struct resolver {
	const struct py_interp *py;
	const struct tracer *tracer;
	struct intern *strings;
	struct stacks *stacks;
	struct map codes;  /* code_key -> struct code_names */
	struct map ids;    /* u32 -> u32 */
	struct map types;  /* u64 -> struct type_name */
	uint32_t reading;
	bool alive;
};

struct resolver *resolver__new(const struct py_interp *py, const struct tracer *t, struct intern *strings, struct stacks *stacks)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->py = py;
	r->tracer = t;
	r->strings = strings;
	r->stacks = stacks;
	map__init(&r->codes, sizeof(struct code_key), sizeof(struct code_names));
	map__init(&r->ids, sizeof(uint32_t), sizeof(uint32_t));
	map__init(&r->types, sizeof(uint64_t), sizeof(struct type_name));
	return r;
}

void resolver__free(struct resolver *r)
{
	const void *key;
	void *value;

	if (!r)
		return;
	for (size_t i = 0; map__next(&r->codes, &i, &key, &value);)
		py_code__free(&((struct code_names *)value)->code);
	map__free(&r->codes);
	map__free(&r->ids);
	map__free(&r->types);
	free(r);
}

static uint32_t string_id(struct resolver *r, const char *s)
{
	uint32_t id = 0;

	intern__string(r->strings, s, &id);
	return id;
}

static const struct code_names *names_of(struct resolver *r, const struct raw_frame *f)
{
	struct code_key key = { .code = f->code, .gen = f->code_gen };
	struct code_names *n;
	bool existed;
	uint32_t gen;

	n = map__put(&r->codes, &key, &existed);
	if (!n || existed)
		return n;
	n->stale = py_code__read(r->py, f->code, &n->code) != 0;
	/* Freed while or before we read? The programs saw it and raised the number. */
	if (!n->stale && !tracer__code_gen(r->tracer, f->code, &gen) && gen != f->code_gen) {
		py_code__free(&n->code);
		n->stale = true;
	}
	if (n->stale) {
		memset(&n->code, 0, sizeof(n->code));
		return n;
	}
	n->file = string_id(r, n->code.filename);
	n->function = string_id(r, n->code.name);
	return n;
}

void resolver__add_stack(struct resolver *r, const struct stack_event *ev)
{
	struct frame frames[MAX_DEPTH];
	uint32_t cnt = ev->depth < MAX_DEPTH ? ev->depth : MAX_DEPTH, depth = 0, *id;

	for (uint32_t i = 0; i < cnt; i++) {
		const struct code_names *n;

		if (!ev->frames[i].code)
			continue; /* the C frame of a call into the interpreter */
		n = names_of(r, &ev->frames[i]);
		if (n && !n->stale && ev->frames[i].lasti < n->code.first_traceable)
			continue; /* being set up: as _PyFrame_IsIncomplete has it, traceback does not show it either */
		frames[depth] = (struct frame){ .stale = 1 };
		if (n && !n->stale)
			frames[depth] = (struct frame){ .file = n->file, .function = n->function,
						    .line = py_code__line(&n->code, ev->frames[i].lasti) };
		depth++;
	}
	if (!depth)
		frames[depth++] = (struct frame){ .function = string_id(r, "<no Python frame>") };
	id = map__put(&r->ids, &ev->stack, NULL);
	if (id)
		stacks__id(r->stacks, frames, depth, id);
}

uint32_t resolver__stack(const struct resolver *r, uint32_t bpf_stack)
{
	const uint32_t *id = map__get(&r->ids, &bpf_stack);

	return id ? *id : 0;
}

void resolver__begin(struct resolver *r, bool alive)
{
	r->reading++;
	r->alive = alive;
}

uint32_t resolver__type(struct resolver *r, uint64_t type, bool *is_buffer)
{
	struct type_name *t;
	uint64_t stamp;
	char name[512];
	bool existed;

	*is_buffer = type < USE_CNT;
	if (*is_buffer)
		return string_id(r, block_use__name(type));
	t = map__put(&r->types, &type, &existed);
	if (!t)
		return string_id(r, "(unknown type)");
	if (t->checked == r->reading || (existed && !r->alive))
		return t->name;
	t->checked = r->reading;
	if (existed && !py_type__stamp(r->py, type, &stamp) && stamp == t->stamp)
		return t->name;
	if (py_type__name(r->py, type, name, sizeof(name), &t->stamp))
		t->name = string_id(r, "(unknown type)");
	else
		t->name = string_id(r, name);
	return t->name;
}
