// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "object.h"
#include "python.h"
#include "str.h"
#include "type.h"

enum { BASES_MAX = 64 };

struct buffers {
	const struct py_interp *py;
	struct owned_buffer *out;
	size_t cnt, max;
};

static uint64_t read_word(const struct py_interp *py, uint64_t addr)
{
	uint64_t value;

	return remote__read_u64(&py->mem, addr, &value) ? 0 : value;
}

/* Static tables of empty containers live in the interpreter's own file: nobody owns them. */
static void add(struct buffers *b, uint64_t addr, enum block_use use)
{
	if (!addr || (addr >= b->py->module_start && addr < b->py->module_end) || b->cnt == b->max)
		return;
	b->out[b->cnt++] = (struct owned_buffer){ addr, use };
}

/* The block of a PyDictValues, from the address that a dict or an instance has of it. */
static void add_values(struct buffers *b, uint64_t values)
{
	enum managed_kind kind = py_layout__managed(b->py->layout);
	uint8_t head[4];

	switch (kind) {
	case MANAGED_NONE:
		break;
	case MANAGED_VALUES_WORD:
	case MANAGED_TAGGED_WORD:
		/* new_values() of 3.11 and 3.12: the byte before the values is the size of the prefix */
		if (!values || remote__read(&b->py->mem, values - 1, head, 1) || !head[0] || head[0] % 8)
			return;
		values -= head[0];
		break;
	case MANAGED_INLINE:
		/* struct _dictvalues: capacity, size, embedded, valid */
		if (!values || remote__read(&b->py->mem, values, head, sizeof(head)) || head[2])
			return;
		break;
	}
	add(b, values, USE_DICT_VALUES);
}

static void add_dict(struct buffers *b, uint64_t dict)
{
	const struct py_layout *l = b->py->layout;
	uint64_t keys = read_word(b->py, dict + l->dict_keys);
	uint64_t values = l->dict_values == NO_OFF ? 0 : read_word(b->py, dict + l->dict_values);

	if (l->dict_small_table != NO_OFF && keys == dict + l->dict_small_table)
		return;
	if (values)
		add_values(b, values);
	else
		add(b, keys, USE_DICT_KEYS);
}

static void add_managed(struct buffers *b, uint64_t object)
{
	enum managed_kind kind = py_layout__managed(b->py->layout);
	uint64_t word;

	if (kind == MANAGED_VALUES_WORD) {
		add_values(b, read_word(b->py, object - 32));
	} else if (kind == MANAGED_TAGGED_WORD) {
		word = read_word(b->py, object - 24);
		if (word & 1)
			add_values(b, word + 1);
	}
}

static void add_set(struct buffers *b, uint64_t set)
{
	uint64_t table = read_word(b->py, set + b->py->layout->set_table);

	if (table != set + b->py->layout->set_small_table)
		add(b, table, USE_SET_TABLE);
}

static void add_deque(struct buffers *b, uint64_t deque)
{
	uint64_t left = read_word(b->py, deque + b->py->layout->deque_left);
	uint64_t right = read_word(b->py, deque + b->py->layout->deque_right);

	add(b, left, USE_DEQUE_BLOCK);
	if (right != left)
		add(b, right, USE_DEQUE_BLOCK);
}

size_t py_object__owned(const struct py_interp *py, uint64_t object, const struct py_owner *owner, struct owned_buffer *out,
			size_t max)
{
	struct buffers b = { .py = py, .out = out, .max = max };

	switch (owner->container) {
	case OWNS_NOTHING:
		break;
	case OWNS_LIST:
		add(&b, read_word(py, object + py->layout->list_items), USE_LIST_ITEMS);
		break;
	case OWNS_DICT:
		add_dict(&b, object);
		break;
	case OWNS_SET:
		add_set(&b, object);
		break;
	case OWNS_BYTEARRAY:
		add(&b, read_word(py, object + py->layout->bytearray_bytes), USE_BYTEARRAY);
		break;
	case OWNS_DEQUE:
		add_deque(&b, object);
		break;
	}
	if (owner->managed)
		add_managed(&b, object);
	return b.cnt;
}

static enum py_container container_of_type(const struct py_interp *py, const struct type_info *t)
{
	char name[24];

	if (t->addr == py->types.list)
		return OWNS_LIST;
	if (t->addr == py->types.dict)
		return OWNS_DICT;
	if (t->addr == py->types.set || t->addr == py->types.frozenset)
		return OWNS_SET;
	if (t->addr == py->types.bytearray)
		return OWNS_BYTEARRAY;
	/* Not exported; a class of that name made in Python has the tp_name "deque". */
	if (!py_cstr__read(py, t->name, name, sizeof(name)) && !strcmp(name, "collections.deque"))
		return OWNS_DEQUE;
	return OWNS_NOTHING;
}

int py_type__owner(const struct py_interp *py, uint64_t type, struct py_owner *out)
{
	struct type_info t;
	int err;

	*out = (struct py_owner){ 0 };
	err = type_info__read(py, type, &t);
	if (err)
		return err;
	out->head_bytes = (t.flags & TYPE_GC ? py->gc_head_bytes : 0) + (t.flags & py->layout->preheader_flags ? py->layout->preheader_bytes : 0);
	out->managed = t.flags & py->layout->preheader_flags & TYPE_MANAGED_DICT;
	for (int i = 0; i < BASES_MAX; i++) {
		out->container = container_of_type(py, &t);
		if (out->container != OWNS_NOTHING || !t.base || type_info__read(py, t.base, &t))
			break;
	}
	return 0;
}

size_t py_object__buffers(const struct py_interp *py, uint64_t object, uint64_t type, struct owned_buffer *out, size_t max)
{
	struct py_owner owner;

	return py_type__owner(py, type, &owner) ? 0 : py_object__owned(py, object, &owner, out, max);
}

uint32_t py_type__recycled_max(const struct py_interp *py, uint64_t type, bool watched)
{
	if (type == py->types.frame)
		return type && !(py->major == 3 && py->minor >= 11) ? 200 : 0;
	if (watched)
		return 0;
	if (type == py->types.float_)
		return type ? 100 : 0;
	return type == USE_DICT_KEYS || (type && (type == py->types.dict || type == py->types.list)) ? 80 : 0;
}
