// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is known of a type: how its instances refer to others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dict.h"
#include "graph_state.h"
#include "layout.h"
#include "module.h"
#include "str.h"
#include "type.h"

/* Py_TPFLAGS_*_SUBCLASS, Py_TPFLAGS_INLINE_VALUES (3.13+), Py_TPFLAGS_MANAGED_WEAKREF (3.12+): Include/object.h. */
#define TYPE_LONG_SUBCLASS (1UL << 24)
#define TYPE_TUPLE_SUBCLASS (1UL << 26)
#define TYPE_EXCEPTION_SUBCLASS (1UL << 30)
#define TYPE_INLINE_VALUES (1UL << 2)
#define TYPE_MANAGED_WEAKREF (1UL << 3)

enum {
	BASES_MAX = 64,
	SHARED_KEYS_MAX = 30, /* SHARED_KEYS_MAX_SIZE, 3.11+ */
	CLASSIC_DICT_OFF = 24,
};

/* By tp_name, of static types; those with a dot of any: a class of Python's has its plain name there. */
static const struct {
	const char *name;
	enum graph_kind kind;
} named[] = {
	{ "weakref", KIND_WEAKREF },	  { "weakref.ReferenceType", KIND_WEAKREF },
	{ "weakproxy", KIND_WEAKREF },	  { "weakref.ProxyType", KIND_WEAKREF },
	{ "weakcallableproxy", KIND_WEAKREF }, { "weakref.CallableProxyType", KIND_WEAKREF },
	{ "module", KIND_MODULE },	  { "cell", KIND_CELL },
	{ "frame", KIND_FRAME },	  { "generator", KIND_GENERATOR },
	{ "coroutine", KIND_GENERATOR },  { "async_generator", KIND_GENERATOR },
	{ "traceback", KIND_TRACEBACK },  { "function", KIND_FUNCTION },
	{ "array.array", KIND_RAW },
};

static enum graph_kind kind_by_name(const struct py_interp *py, const struct type_info *t)
{
	char name[32];

	if (py_cstr__read(py, t->name, name, sizeof(name)) || (t->flags & TYPE_HEAP && !strchr(name, '.')))
		return KIND_PLAIN;
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (!strcmp(name, named[i].name))
			return named[i].kind;
	return KIND_PLAIN;
}

static enum graph_kind kind_of(const struct py_interp *py, const struct type_info *type, enum py_container container)
{
	static const enum graph_kind of_container[] = {
		[OWNS_NOTHING] = KIND_PLAIN, [OWNS_LIST] = KIND_LIST, [OWNS_DICT] = KIND_DICT,
		[OWNS_SET] = KIND_SET, [OWNS_BYTEARRAY] = KIND_RAW, [OWNS_DEQUE] = KIND_DEQUE,
	};
	enum graph_kind kind = of_container[container];
	struct type_info t = *type;

	if (kind != KIND_PLAIN)
		return kind;
	if (type->flags & TYPE_TUPLE_SUBCLASS)
		return KIND_TUPLE;
	if (type->flags & TYPE_TYPE_SUBCLASS)
		return KIND_TYPE;
	if (type->addr == py->types.code)
		return KIND_CODE;
	if (type->flags & TYPE_EXCEPTION_SUBCLASS)
		return KIND_EXCEPTION;
	if (!(type->flags & TYPE_GC) && (type->flags & (TYPE_LONG_SUBCLASS | TYPE_STRING_SUBCLASS | TYPE_STR_SUBCLASS) || type->addr == py->types.float_))
		return KIND_LEAF;
	for (int i = 0; i < BASES_MAX; i++) {
		kind = kind_by_name(py, &t);
		if (kind != KIND_PLAIN || !t.base || type_info__read(py, t.base, &t))
			break;
	}
	return kind;
}

uint32_t graph__tuple_items_off(const struct py_interp *py)
{
	struct type_info t;

	return py->types.tuple && !type_info__read(py, py->types.tuple, &t) && t.basicsize >= 24 && t.basicsize <= 40 ? t.basicsize : 24;
}

/* Objects/dictobject.c, new_values(): as many places as the keys of the type have. */
static void learn_values(const struct py_interp *py, uint64_t type, struct graph_type *out)
{
	unsigned char header[DICT_KEYS_HEADER_BYTES];
	struct dict_keys keys;

	if (remote__read_u64(&py->mem, type + py->layout->heap_type_cached_keys, &out->cached_keys) || !out->cached_keys ||
	    remote__read(&py->mem, out->cached_keys, header, sizeof(header)) || dict_keys__decode(py->layout, header, &keys)) {
		out->cached_keys = 0;
		return;
	}
	out->values_cnt = keys.usable + keys.nentries < SHARED_KEYS_MAX ? keys.usable + keys.nentries : SHARED_KEYS_MAX;
}

/* 2.7, Include/classobject.h: PyInstanceObject.in_dict and PyClassObject.cl_dict are at the same place. */
static bool is_classic(const struct py_interp *py, const struct type_info *t)
{
	char name[16];

	return py->major < 3 && !(t->flags & TYPE_HEAP) && !py_cstr__read(py, t->name, name, sizeof(name)) &&
	       (!strcmp(name, "instance") || !strcmp(name, "classobj"));
}

static void learn(struct graph *g, uint32_t tag, struct graph_type *out)
{
	const struct py_interp *py = g->py;
	uint64_t addr = g->census->heap->types.types[tag].addr;
	struct py_owner owner;
	struct type_info t;
	uint64_t word;

	*out = (struct graph_type){ .known = true };
	if (type_info__read(py, addr, &t) || py_type__owner(py, addr, &owner))
		return;
	out->basicsize = t.basicsize;
	out->itemsize = t.itemsize;
	out->managed = owner.managed;
	out->inline_values = owner.managed && py_layout__managed(py->layout) == MANAGED_INLINE && t.flags & TYPE_INLINE_VALUES;
	out->weakrefs_in_front = t.flags & py->layout->preheader_flags & TYPE_MANAGED_WEAKREF;
	out->kind = kind_of(py, &t, owner.container);
	if (out->kind == KIND_TUPLE)
		out->items_off = graph__tuple_items_off(py);
	if (owner.managed)
		learn_values(py, addr, out);
	if (!remote__read_u64(&py->mem, addr + py->layout->type_dictoffset, &word))
		out->dictoffset = is_classic(py, &t) ? CLASSIC_DICT_OFF : (int64_t)word;
	if (!remote__read_u64(&py->mem, addr + py->layout->type_weaklistoffset, &word))
		out->weaklistoffset = word;
}

const struct graph_type *graph__type(struct graph *g, uint32_t tag)
{
	uint32_t capacity = g->type_capacity;
	struct graph_type *bigger;

	if (tag >= capacity) {
		while (capacity <= tag)
			capacity = capacity ? capacity * 2 : 1024;
		bigger = realloc(g->types, capacity * sizeof(*bigger));
		if (!bigger) {
			g->err = -ENOMEM;
			return NULL;
		}
		memset(bigger + g->type_capacity, 0, (capacity - g->type_capacity) * sizeof(*bigger));
		g->types = bigger;
		g->type_capacity = capacity;
	}
	if (!g->types[tag].known)
		learn(g, tag, &g->types[tag]);
	return &g->types[tag];
}
