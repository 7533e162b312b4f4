// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "collect.h"
#include "intern.h"
#include "map.h"
#include "object.h"
#include "python.h"
#include "resolver.h"
#include "stacks.h"
#include "tracer.h"

enum { POSITIONS_MAX = 512 }; /* looked at */

/* Of the newest code object at an address: events come in order, so nothing asks for an older one. */
struct code_names {
	uint32_t gen;
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
	struct map codes;  /* address -> struct code_names */
	struct map ids;    /* STACK_NR -> id of the model */
	struct map types;  /* u64 -> struct type_name */
	uint32_t reading;
	uint32_t unknown_stack; /* one frame without names */
	/* Frames that stand where a frame can stand, and those that do not: the walk's own witnesses. */
	uint32_t positions_right, positions_wrong;
	uint32_t tops_right, tops_wrong; /* innermost frames: a walk may begin in the wrong place and find the right way later */
	bool has_stacks;
	bool alive;
};

struct resolver *resolver__new(const struct py_interp *py, const struct tracer *t, struct intern *strings, struct stacks *stacks)
{
	struct resolver *r = calloc(1, sizeof(*r));
	const struct frame nameless = { .file = 0 };

	if (!r || stacks__id(stacks, &nameless, 1, &r->unknown_stack)) {
		free(r);
		return NULL;
	}
	r->py = py;
	r->tracer = t;
	r->strings = strings;
	r->stacks = stacks;
	map__init(&r->codes, sizeof(uint64_t), sizeof(struct code_names));
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

/* Reads from what the programs copied; anything else is as if it were not mapped. */
static int read_captured(const struct remote *from, uint64_t addr, void *out, size_t size)
{
	const struct code_event *ev = from->image;
	const void *parts[CODE_PARTS] = {
		[CODE_HEAD] = ev->head,
		[CODE_FILENAME] = ev->filename,
		[CODE_NAME] = ev->name,
		[CODE_LINE_TABLE] = ev->line_table,
	};

	for (int i = 0; i < CODE_PARTS; i++) {
		uint64_t off = addr - ev->addr[i];

		if (addr < ev->addr[i] || off > ev->size[i] || size > ev->size[i] - off)
			continue;
		memcpy(out, (const char *)parts[i] + off, size);
		return 0;
	}
	return -EFAULT;
}

static void name_it(struct resolver *r, struct code_names *n)
{
	n->file = string_id(r, n->code.filename);
	n->function = string_id(r, n->code.name);
}

void resolver__add_code(struct resolver *r, const struct code_event *ev)
{
	uint64_t addr = ev->addr[CODE_HEAD];
	struct py_interp captured = *r->py;
	struct code_names *n;
	struct py_code code;
	bool existed;

	captured.mem = (struct remote){ .read = read_captured, .image = ev };
	if (!addr || py_code__read(&captured, addr, &code))
		return; /* too large: names_of reads the rest of it */
	n = map__put(&r->codes, &addr, &existed);
	if (!n) {
		py_code__free(&code);
		return;
	}
	if (existed)
		py_code__free(&n->code);
	*n = (struct code_names){ .gen = ev->gen, .code = code };
	name_it(r, n);
}

static const struct code_names *names_of(struct resolver *r, const struct raw_frame *f)
{
	struct code_names *n;
	bool existed;
	uint32_t gen;

	n = map__put(&r->codes, &f->code, &existed);
	if (!n || (existed && n->gen == f->code_gen))
		return n;
	if (existed)
		py_code__free(&n->code);
	memset(n, 0, sizeof(*n));
	n->gen = f->code_gen;
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
	name_it(r, n);
	return n;
}

/* False: the line would be that of another place, or of none. */
static bool check_position(struct resolver *r, const struct code_names *n, const struct raw_frame *f, bool outer)
{
	uint32_t gen;
	int right;

	if (n->code.bytecode && r->positions_right + r->positions_wrong >= POSITIONS_MAX)
		return true;
	right = py_code__position(r->py, &n->code, f->lasti, outer);
	if (n->code.bytecode && (tracer__code_gen(r->tracer, f->code, &gen) || gen != f->code_gen))
		return true; /* freed: what was read is something else */
	r->positions_right += right == 1;
	r->positions_wrong += right == 0;
	return n->code.bytecode || right == 1;
}

/* As long as no frame was found where a frame can be, nobody knows whether there was none. */
static bool walks_are_right(const struct resolver *r)
{
	return r->py->names.codes == NAMES_TRUE && r->positions_right > r->positions_wrong && r->tops_right >= r->tops_wrong;
}

void resolver__add_stack(struct resolver *r, const struct stack_event *ev)
{
	struct frame frames[MAX_DEPTH];
	uint32_t cnt = ev->depth < MAX_DEPTH ? ev->depth : MAX_DEPTH, depth = 0, nr, *id;

	for (uint32_t i = 0; i < cnt; i++) {
		const struct code_names *n;

		if (!ev->frames[i].code)
			continue; /* the C frame of a call into the interpreter */
		n = names_of(r, &ev->frames[i]);
		if (n && !n->stale && ev->frames[i].lasti < n->code.first_traceable)
			continue; /* being set up: as _PyFrame_IsIncomplete has it, traceback does not show it either */
		frames[depth] = (struct frame){ .flags = r->py->names.codes == NAMES_FALSE ? 0 : FRAME_STALE };
		if (!depth)
			*(n && !n->stale ? &r->tops_right : &r->tops_wrong) += 1;
		if (n && !n->stale)
			frames[depth] = (struct frame){ .file = n->file, .function = n->function,
						    .line = check_position(r, n, &ev->frames[i], depth > 0) ?
							    py_code__line(&n->code, ev->frames[i].lasti) : 0 };
		depth++;
	}
	if (!depth)
		frames[depth++] = (struct frame){ .function = string_id(r, "<no Python frame>") };
	if (ev->truncated)
		frames[depth - 1].flags |= FRAME_CUT;
	r->has_stacks = true;
	nr = STACK_NR(ev->stack);
	id = map__put(&r->ids, &nr, NULL);
	if (id)
		stacks__id(r->stacks, frames, depth, id);
}

bool resolver__doubts_stacks(const struct resolver *r)
{
	return r->has_stacks && !walks_are_right(r);
}

uint32_t resolver__stack(const struct resolver *r, uint32_t bpf_stack)
{
	const uint32_t nr = STACK_NR(bpf_stack), *id = map__get(&r->ids, &nr);

	if (!walks_are_right(r))
		return r->unknown_stack;
	return id ? *id : 0;
}

void resolver__inherit(struct resolver *r, const struct resolver *parent)
{
	const void *key;
	void *value;

	for (size_t i = 0; map__next(&parent->ids, &i, &key, &value);) {
		uint32_t *id = map__put(&r->ids, key, NULL);

		if (id)
			*id = *(uint32_t *)value;
	}
	r->positions_right = parent->positions_right;
	r->positions_wrong = parent->positions_wrong;
	r->tops_right = parent->tops_right;
	r->tops_wrong = parent->tops_wrong;
	for (size_t i = 0; map__next(&parent->types, &i, &key, &value);) {
		struct type_name *t = map__put(&r->types, key, NULL);

		if (t)
			*t = *(struct type_name *)value;
	}
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
	int err;

	*is_buffer = type < USE_CNT;
	if (type == TYPE_UNREADABLE || r->py->names.types != NAMES_TRUE)
		return 0; /* unknown; so is what is no object, where objects may not be recognised */
	if (*is_buffer)
		return string_id(r, block_use__name(type));
	t = map__put(&r->types, &type, &existed);
	if (!t)
		return 0;
	if (t->checked == r->reading || (existed && !r->alive))
		return t->name;
	t->checked = r->reading;
	if (existed && !py_type__stamp(r->py, type, &stamp) && stamp == t->stamp)
		return t->name;
	err = py_type__name(r->py, type, name, sizeof(name), &t->stamp);
	if (!err)
		t->name = string_id(r, name);
	else if (!existed || err == -EFAULT)
		t->name = 0; /* unknown; but what a process that has just ended was using keeps its name */
	return t->name;
}
