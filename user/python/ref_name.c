// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ref_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dict.h"
#include "graph_state.h"
#include "layout.h"
#include "str.h"
#include "type.h"

enum {
	NAME_MAX_BYTES = 96,
	BASES_MAX = 64,
	MEMBERS_MAX = 256,
	MEMBER_BYTES = 40,     /* PyMemberDef: name, type, offset, flags, doc: Include/descrobject.h, structmember.h */
	MEMBER_OBJECT = 6,     /* T_OBJECT, T_OBJECT_EX */
	MEMBER_OBJECT_EX = 16,
	CELL_CONTENTS_OFF = 16,
	MODULE_DICT_OFF = 16,
	KNOWN_MAX = 1 << 16,   /* names that are kept */
};

struct ref_namer {
	struct graph *g;
	const struct py_interp *py;
	bool show_values;
	struct map attributes; /* {tag, via} -> char[NAME_MAX_BYTES] */
	struct map keys;       /* address of a str -> char[NAME_MAX_BYTES] */
};

struct ref_namer *ref_namer__new(struct graph *g, bool show_values)
{
	struct ref_namer *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->g = g;
	n->py = g->py;
	n->show_values = show_values;
	map__init(&n->attributes, sizeof(uint64_t), NAME_MAX_BYTES);
	map__init(&n->keys, sizeof(uint64_t), NAME_MAX_BYTES);
	return n;
}

void ref_namer__free(struct ref_namer *n)
{
	if (!n)
		return;
	map__free(&n->attributes);
	map__free(&n->keys);
	free(n);
}

static uint64_t word_at(const struct ref_namer *n, uint64_t addr)
{
	uint64_t value;
	const void *bytes = graph__bytes(n->g, addr, sizeof(value), &value);

	if (!bytes)
		return 0;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

static bool is_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_' && !(*s & 0x80))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && !(*s & 0x80))
			return false;
	return true;
}

/* PyASCIIObject.state.interned, the lowest two bits: names that are written in a program are, text that it has read is not. */
static bool is_interned(const struct ref_namer *n, uint64_t str)
{
	const struct py_layout *l = n->py->layout;

	if (l->str_state == NO_OFF) /* 2.7: PyStringObject.ob_sstate, behind the hash */
		return (uint32_t)word_at(n, str + 32) != 0;
	return (word_at(n, str + l->str_state) & 3) != 0;
}

/* A str, or "" if it is none. Kept: the same few are asked for again and again. */
static const char *text_of_str(struct ref_namer *n, uint64_t addr)
{
	char *known = map__get(&n->keys, &addr), *text;

	if (known)
		return known;
	if (n->keys.cnt >= KNOWN_MAX) {
		map__free(&n->keys);
		map__init(&n->keys, sizeof(uint64_t), NAME_MAX_BYTES);
	}
	text = map__put(&n->keys, &addr, NULL);
	if (text && (!addr || py_str__read(n->py, addr, text, NAME_MAX_BYTES)))
		*text = '\0';
	return text ? text : "";
}

static uint64_t tuple_item(const struct ref_namer *n, uint64_t tuple, uint64_t i)
{
	if (!tuple || i >= word_at(n, tuple + 16))
		return 0;
	return word_at(n, tuple + graph__tuple_items_off(n->py) + 8 * i);
}

static const char *local_name(struct ref_namer *n, uint64_t code, uint64_t i)
{
	const struct py_layout *l = n->py->layout;
	const uint32_t lists[] = { l->code_varnames, l->code_cellvars, l->code_freevars };
	uint64_t tuple, cnt;

	if (!code)
		return "";
	if (l->code_localsplus_names != NO_OFF)
		return text_of_str(n, tuple_item(n, word_at(n, code + l->code_localsplus_names), i));
	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
		tuple = word_at(n, code + lists[k]);
		cnt = tuple ? word_at(n, tuple + 16) : 0;
		if (i < cnt)
			return text_of_str(n, tuple_item(n, tuple, i));
		i -= cnt;
	}
	return "";
}

/* The key of an entry of the keys object at KEYS. */
static uint64_t key_of(const struct ref_namer *n, uint64_t keys_addr, uint64_t entry)
{
	unsigned char scratch[DICT_KEYS_HEADER_BYTES];
	const void *header = graph__bytes(n->g, keys_addr, sizeof(scratch), scratch);
	struct dict_keys keys;

	if (!header || dict_keys__decode(n->py->layout, header, &keys) || entry >= keys.nentries)
		return 0;
	return word_at(n, keys_addr + keys.entries_off + entry * keys.entry_size + keys.key_off);
}

static uint64_t key_of_dict(const struct ref_namer *n, uint64_t dict, uint64_t entry)
{
	const struct py_layout *l = n->py->layout;
	uint64_t table = word_at(n, dict + l->dict_keys);

	return l->dict_mask != NO_OFF ? word_at(n, table + entry * DICT27_ENTRY_BYTES + 8) : key_of(n, table, entry);
}

/* tp_members of the type and its bases: fields of C types, and slots of Python's. */
static bool member_name(const struct ref_namer *n, uint64_t type, uint64_t off, char *out)
{
	unsigned char member[MEMBER_BYTES];
	struct type_info t;
	uint64_t at;
	uint32_t kind;

	for (int i = 0; i < BASES_MAX && type && !type_info__read(n->py, type, &t); i++, type = t.base) {
		at = word_at(n, type + n->py->layout->type_members);
		for (int k = 0; at && k < MEMBERS_MAX; k++, at += MEMBER_BYTES) {
			uint64_t name, member_off;

			if (remote__read(&n->py->mem, at, member, sizeof(member)))
				break;
			memcpy(&name, member, sizeof(name));
			memcpy(&kind, member + 8, sizeof(kind));
			memcpy(&member_off, member + 16, sizeof(member_off));
			if (!name)
				break;
			if (member_off == off && (kind == MEMBER_OBJECT || kind == MEMBER_OBJECT_EX) && !py_cstr__read(n->py, name, out, NAME_MAX_BYTES))
				return true;
		}
	}
	return false;
}

/* Fields that are no members, as their access has code of its own. */
static const char *known_field(const struct ref_namer *n, enum graph_kind kind, uint32_t off)
{
	const struct py_layout *l = n->py->layout;
	/* Include/cpython/pyerrors.h: dict, args, since 3.11 notes, traceback, context, cause */
	static const char *const exception[] = { "__dict__", "args", "__notes__", "__traceback__", "__context__", "__cause__" };
	uint32_t i;

	if (kind == KIND_FUNCTION) {
		if (off == l->function_code)
			return "__code__";
		if (off == l->function_defaults)
			return "__defaults__";
		if (off == l->function_kwdefaults)
			return "__kwdefaults__";
		if (off == l->function_closure)
			return "__closure__";
		if (off == l->function_annotations)
			return "__annotations__";
	}
	if (kind == KIND_TRACEBACK && (off == 16 || off == 24)) /* PyTracebackObject */
		return off == 16 ? "tb_next" : "tb_frame";
	if (kind == KIND_EXCEPTION && n->py->major == 3 && off >= 16) {
		i = (off - 16) / 8;
		if (n->py->minor < 11 && i >= 2)
			i++;
		return i < sizeof(exception) / sizeof(exception[0]) ? exception[i] : NULL;
	}
	if (kind == KIND_TYPE && off == l->type_base)
		return "__base__";
	return NULL;
}

/* PyFrameObject.f_frame of 3.11+: a frame that has ended is kept in the object. 0: it has not. */
enum { FRAME_FRAME_OFF = 24 };
static uint64_t frame_inside(const struct ref_namer *n, uint64_t object, uint32_t off)
{
	uint64_t frame = word_at(n, object + FRAME_FRAME_OFF);

	return frame > object && frame + n->py->layout->frame_locals <= object + off ? frame : 0;
}

static uint64_t code_of_frame(const struct ref_namer *n, uint64_t object, uint32_t off)
{
	const struct py_layout *l = n->py->layout;
	uint64_t frame = l->code_localsplus_names == NO_OFF ? object : frame_inside(n, object, off);

	return frame ? word_at(n, frame + l->frame_code) & l->frame_code_mask : 0;
}

static uint64_t code_of_generator(const struct ref_namer *n, uint64_t object, const struct graph_type *t)
{
	const struct py_layout *l = n->py->layout;

	if (l->code_localsplus_names == NO_OFF || t->basicsize < l->frame_locals) /* its frame is an object of its own */
		return 0;
	return word_at(n, object + t->basicsize - l->frame_locals + l->frame_code) & l->frame_code_mask;
}

/* Which local variable a word of a frame object, or of a generator with its frame inside (3.11+), is; NULL: none. */
static const char *inner_local(struct ref_namer *n, uint64_t object, const struct graph_type *t, uint32_t off)
{
	const struct py_layout *l = n->py->layout;

	if (t->kind == KIND_FRAME && l->code_localsplus_names == NO_OFF && off >= l->frame_locals)
		return local_name(n, word_at(n, object + l->frame_code), (off - l->frame_locals) / 8);
	if (t->kind == KIND_FRAME && l->code_localsplus_names != NO_OFF && frame_inside(n, object, off))
		return local_name(n, code_of_frame(n, object, off), (object + off - frame_inside(n, object, off) - l->frame_locals) / 8);
	if (t->kind == KIND_GENERATOR && l->code_localsplus_names != NO_OFF && off >= t->basicsize && t->basicsize > l->frame_locals)
		return local_name(n, code_of_generator(n, object, t), (off - t->basicsize) / 8);
	return NULL;
}

static void set(struct ref_step *out, enum ref_role role, const char *general)
{
	out->role = role;
	snprintf(out->general, sizeof(out->general), "%s", general);
	snprintf(out->exact, sizeof(out->exact), "%s", general);
}

static void set_attribute(struct ref_step *out, const char *name)
{
	out->role = ROLE_NONE;
	snprintf(out->general, sizeof(out->general), ".%s", *name ? name : "?");
	memcpy(out->exact, out->general, sizeof(out->exact));
}

static void set_local(struct ref_step *out, const char *how, const char *name)
{
	out->role = ROLE_NONE;
	if (*name)
		snprintf(out->general, sizeof(out->general), "%s['%s']", how, name);
	else
		snprintf(out->general, sizeof(out->general), "%s[stack]", how);
	memcpy(out->exact, out->general, sizeof(out->exact));
}

/* PyLongObject of up to two digits: ob_size and ob_digit, since 3.12 lv_tag. */
static bool small_int(const struct ref_namer *n, uint64_t object, int64_t *out)
{
	uint64_t head = word_at(n, object + 16), digits = word_at(n, object + 24);
	bool tagged = n->py->major == 3 && n->py->minor >= 12;
	int64_t size = tagged ? (int64_t)(head >> 3) : (int64_t)head < 0 ? -(int64_t)head : (int64_t)head;

	if (size < 0 || size > 2)
		return false;
	*out = size == 0 ? 0 : size == 1 ? digits & 0x3fffffff : (digits & 0x3fffffff) | (digits >> 32) << 30;
	if (tagged ? (head & 3) == 2 : (int64_t)head < 0)
		*out = -*out;
	return true;
}

static void exact_key(struct ref_namer *n, uint64_t key, char *out, size_t size)
{
	struct type_info t;
	uint64_t type = word_at(n, key + 8);
	const char *text;
	int64_t number;

	if (type == n->py->types.str && type) {
		text = text_of_str(n, key);
		if (*text && (n->show_values || (is_name(text) && is_interned(n, key))))
			snprintf(out, size, "['%s']", text);
		return;
	}
	if (n->show_values && !type_info__read(n->py, type, &t) && t.flags & 1UL << 24 && small_int(n, key, &number)) /* Py_TPFLAGS_LONG_SUBCLASS */
		snprintf(out, size, "[%lld]", (long long)number);
}

static uint64_t code_behind(struct ref_namer *n, uint32_t from, enum ref_role role, uint32_t off)
{
	const struct graph_type *t = graph__type(n->g, graph__tag(n->g, from));
	uint64_t object = graph__node_addr(n->g, from);
	uint32_t via;

	if (role == ROLE_CLOSURE) {
		from = graph__before(n->g, from, &via);
		return from < GRAPH_ROOTS ? word_at(n, graph__node_addr(n->g, from) + n->py->layout->function_code) : 0;
	}
	if (!t)
		return 0;
	return t->kind == KIND_FRAME ? code_of_frame(n, object, off) : t->kind == KIND_GENERATOR ? code_of_generator(n, object, t) : 0;
}

bool ref_namer__varies(enum ref_role from_role, uint32_t via)
{
	enum graph_place place = GRAPH_PLACE(via);

	return (place == PLACE_ITEM && from_role != ROLE_CLOSURE) || (place == PLACE_VALUE && from_role != ROLE_NAMESPACE);
}

uint64_t ref_namer__sort(struct ref_namer *n, uint32_t from, enum ref_role from_role, uint32_t via)
{
	enum graph_place place = GRAPH_PLACE(via);

	if (from >= GRAPH_ROOTS)
		return place == PLACE_LOCAL ? via : GRAPH_VIA(place, 0);
	if (ref_namer__varies(from_role, via) || place == PLACE_KEY || graph__tag(n->g, from) == TAG_BUFFER)
		return GRAPH_VIA(place, 0);
	if (place == PLACE_VALUE)
		return key_of_dict(n, graph__node_addr(n->g, from), GRAPH_INDEX(via)) | 1ULL << 63;
	return place == PLACE_WORD || place == PLACE_ITEM ? code_behind(n, from, from_role, GRAPH_INDEX(via) * 8) << 32 ^ via : via;
}

static void step_of_entry(struct ref_namer *n, uint32_t from, enum ref_role role, uint32_t via, struct ref_step *out)
{
	uint64_t key = key_of_dict(n, graph__node_addr(n->g, from), GRAPH_INDEX(via));
	bool is_value = GRAPH_PLACE(via) == PLACE_VALUE;

	if (role == ROLE_NAMESPACE && is_value) {
		set_attribute(out, text_of_str(n, key));
		return;
	}
	set(out, ROLE_NONE, is_value ? "[*]" : "{key}");
	if (is_value)
		exact_key(n, key, out->exact, sizeof(out->exact));
}

static void step_of_item(struct ref_namer *n, uint32_t from, enum ref_role role, uint32_t via, struct ref_step *out)
{
	const struct graph_type *t = graph__type(n->g, graph__tag(n->g, from));
	uint32_t function_via, function;
	const char *name;

	if (role == ROLE_CLOSURE) {
		function = graph__before(n->g, from, &function_via);
		name = "";
		if (function < GRAPH_ROOTS) {
			const struct py_layout *l = n->py->layout;
			uint64_t code = word_at(n, graph__node_addr(n->g, function) + l->function_code), names, cells = word_at(n, graph__node_addr(n->g, from) + 16);

			names = word_at(n, code + (l->code_freevars != NO_OFF ? l->code_freevars : l->code_localsplus_names));
			/* the free variables are the last ones */
			if (l->code_freevars != NO_OFF)
				name = text_of_str(n, tuple_item(n, names, GRAPH_INDEX(via)));
			else
				name = text_of_str(n, tuple_item(n, names, word_at(n, names + 16) - cells + GRAPH_INDEX(via)));
		}
		set_local(out, "", *name ? name : "?");
		out->role = ROLE_CELL;
		return;
	}
	set(out, ROLE_NONE, t && t->kind == KIND_SET ? "{*}" : "[*]");
	if (t && t->kind != KIND_SET)
		snprintf(out->exact, sizeof(out->exact), "[%u]", GRAPH_INDEX(via));
}

/* By its type and where it is: the same for all instances, so it is kept. */
static const char *attribute_name(struct ref_namer *n, uint32_t from, uint32_t via)
{
	uint32_t tag = graph__tag(n->g, from), off = GRAPH_INDEX(via) * 8;
	const struct graph_type *t = graph__type(n->g, tag);
	uint64_t key = (uint64_t)tag << 32 | via;
	char *known = map__get(&n->attributes, &key);
	const char *fixed;

	if (known || !t)
		return known ? known : "";
	if (n->attributes.cnt >= KNOWN_MAX) {
		map__free(&n->attributes);
		map__init(&n->attributes, sizeof(uint64_t), NAME_MAX_BYTES);
	}
	fixed = GRAPH_PLACE(via) == PLACE_ATTR ? text_of_str(n, t->cached_keys ? key_of(n, t->cached_keys, GRAPH_INDEX(via)) : 0) :
						 known_field(n, t->kind, off);
	known = map__put(&n->attributes, &key, NULL);
	if (!known)
		return "";
	if (fixed)
		snprintf(known, NAME_MAX_BYTES, "%s", fixed);
	else if (!member_name(n, graph__node_type(n->g, from), off, known))
		snprintf(known, NAME_MAX_BYTES, "<field at %u>", off);
	return known;
}

static const char *frame_of_generator(const struct ref_namer *n, uint32_t from)
{
	struct type_info t;
	char name[32];

	if (type_info__read(n->py, graph__node_type(n->g, from), &t) || py_cstr__read(n->py, t.name, name, sizeof(name)))
		return ".gi_frame.f_locals";
	return !strcmp(name, "coroutine") ? ".cr_frame.f_locals" : !strcmp(name, "async_generator") ? ".ag_frame.f_locals" : ".gi_frame.f_locals";
}

static void step_of_word(struct ref_namer *n, uint32_t from, enum ref_role role, uint32_t via, struct ref_step *out)
{
	uint32_t tag = graph__tag(n->g, from), off = GRAPH_INDEX(via) * 8;
	const struct graph_type *t = tag >= TAG_FIRST ? graph__type(n->g, tag) : NULL;
	const char *local;

	if (!t) {
		set(out, ROLE_NONE, "");
		return;
	}
	if ((t->kind == KIND_MODULE && off == MODULE_DICT_OFF) || (t->dictoffset > 0 && off == t->dictoffset) ||
	    (t->kind == KIND_TYPE && off == n->py->layout->type_dict)) {
		set(out, ROLE_NAMESPACE, "");
		return;
	}
	if (t->kind == KIND_CELL && off == CELL_CONTENTS_OFF) {
		set(out, ROLE_NONE, role == ROLE_CELL ? "" : ".cell_contents");
		return;
	}
	local = inner_local(n, graph__node_addr(n->g, from), t, off);
	if (local) {
		set_local(out, t->kind == KIND_FRAME ? ".f_locals" : frame_of_generator(n, from), local);
		return;
	}
	set_attribute(out, attribute_name(n, from, via));
	if (t->kind == KIND_FUNCTION && off == n->py->layout->function_closure)
		out->role = ROLE_CLOSURE;
}

static void step_of_root(struct ref_namer *n, uint32_t from, uint32_t via, struct ref_step *out)
{
	const struct graph_root *root = graph__root(n->g, from);
	const char *name;

	set(out, ROLE_NONE, "");
	if (GRAPH_PLACE(via) != PLACE_LOCAL)
		return;
	name = local_name(n, root->code, GRAPH_INDEX(via));
	set(out, ROLE_NONE, *name ? name : "(evaluation stack)");
}

void ref_namer__step(struct ref_namer *n, uint32_t from, enum ref_role from_role, uint32_t via, struct ref_step *out)
{
	*out = (struct ref_step){ .role = ROLE_NONE };
	if (from >= GRAPH_ROOTS) {
		step_of_root(n, from, via, out);
		return;
	}
	switch (GRAPH_PLACE(via)) {
	case PLACE_WORD:
		step_of_word(n, from, from_role, via, out);
		break;
	case PLACE_ITEM:
		step_of_item(n, from, from_role, via, out);
		break;
	case PLACE_KEY:
	case PLACE_VALUE:
		step_of_entry(n, from, from_role, via, out);
		break;
	case PLACE_ATTR:
		set_attribute(out, attribute_name(n, from, via));
		break;
	case PLACE_DICT:
		set(out, ROLE_NAMESPACE, "");
		break;
	case PLACE_LOCAL:
		break;
	}
}
