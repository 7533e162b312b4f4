// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which words of a node refer to others. */
#include <string.h>

#include "dict.h"
#include "graph_state.h"
#include "layout.h"
#include "word.h"

enum {
	HEADER_BYTES = 16,
	TABLE_MAX = 1 << 28, /* entries: more have no number */
	WEAKREF_OBJECT_OFF = 16, WEAKREF_CALLBACK_OFF = 24, WEAKREF_END = 56, /* Include/weakrefobject.h; 3.11+ has vectorcall behind */
	HEADS_MAX_BYTES = 48,
};

struct scan {
	struct graph *g;
	uint32_t node;
	const struct graph_type *type;
	uint64_t addr, end; /* of the header, or the begin of a buffer; behind the block */
	graph_visit visit;
	void *ctx;
};

static void refer(const struct scan *s, uint64_t value, enum graph_place place, uint64_t index)
{
	uint32_t to = graph__of_word(s->g, value);

	if (to != GRAPH_NONE && to != s->node && index < TABLE_MAX)
		s->visit(s->ctx, s->node, to, GRAPH_VIA(place, index));
}

/*
 * Objects/typeobject.c, Include/internal/pycore_typeobject.h: struct type_cache_entry {unsigned version; PyObject *name, *value;}, whose value is borrowed.
 * It is in the interpreter's variables, or in its state.
 */
static bool is_cached_method(const struct graph *g, const uint64_t *words, size_t i)
{
	uint32_t name;

	if (i < 2 || !words[i - 2] || words[i - 2] >> 32)
		return false;
	name = graph__of_word(g, words[i - 1]);
	return name != GRAPH_NONE && graph__node_type(g, name) == g->py->types.str;
}

void graph__scan_state(struct graph *g, uint32_t from, uint64_t start, uint64_t end, graph_visit visit, void *ctx)
{
	const uint64_t *words = (const uint64_t *)g->piece;
	uint64_t size;
	uint32_t to;

	for (uint64_t at = start; at + 16 < end; at += size - 16) { /* two words again: an entry may be on the border */
		size = end - at < GRAPH_PIECE_BYTES ? (end - at) & ~7ULL : GRAPH_PIECE_BYTES;
		if (remote__read(&g->py->mem, at, g->piece, size))
			continue;
		for (size_t i = at == start ? 0 : 2; i < size / 8; i++) {
			to = is_cached_method(g, words, i) ? GRAPH_NONE : graph__of_word(g, words[i]);
			if (to != GRAPH_NONE && to != from)
				visit(ctx, from, to, GRAPH_VIA(PLACE_WORD, (at - start) / 8 + i));
		}
	}
}

/* Words at [FROM, TO) of the process, as those of PLACE from FIRST on. */
static void scan_range(const struct scan *s, uint64_t from, uint64_t to, enum graph_place place, uint64_t first)
{
	const unsigned char *bytes;
	uint32_t size;

	for (; from + 8 <= to; from += size, first += size / 8) {
		size = to - from < GRAPH_PIECE_BYTES ? (to - from) & ~7ULL : GRAPH_PIECE_BYTES;
		bytes = graph__bytes(s->g, from, size, s->g->piece);
		for (uint32_t off = 0; bytes && off < size; off += 8)
			refer(s, word(bytes, off), place, first + off / 8);
	}
}

/* To 3.10: behind its locals, and what is on its evaluation stack if that is known. 3.11+: a frame that has ended, all of it locals. */
static uint64_t end_of_frame(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	unsigned char scratch[8];
	const void *code = graph__bytes(s->g, s->addr + l->frame_code, 8, scratch), *top;
	uint64_t end, value;

	if (l->code_localsplus_names != NO_OFF || !code)
		return s->end;
	end = s->addr + l->frame_locals + 8 * graph__locals_cnt(s->g, word(code, 0));
	top = graph__bytes(s->g, s->addr + l->frame_stack_top, 8, scratch);
	value = top ? word(top, 0) : 0;
	if (s->g->py->major == 3 && s->g->py->minor == 10)
		return (int32_t)value > 0 ? end + 8 * (uint32_t)value : end;
	return value > end && value <= s->end ? value : end;
}

/* 3.11+: behind what a generator that waits has on its evaluation stack. */
static uint64_t end_of_generator(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	unsigned char scratch[8];
	const void *top;
	uint64_t value, locals = s->addr + s->type->basicsize;

	if (l->code_localsplus_names == NO_OFF || s->type->basicsize < l->frame_locals)
		return s->end;
	top = graph__bytes(s->g, locals - l->frame_locals + l->frame_stack_top, 8, scratch);
	value = top ? word(top, 0) : 0;
	if (s->g->py->minor > 13)
		return value >= locals && value <= s->end ? value : s->end;
	return (int32_t)value >= 0 && (uint32_t)value <= (s->end - locals) / 8 ? locals + 8 * (uint32_t)value : s->end;
}

/* Behind the last field of a type of fixed size, and behind the items of one that is not, is what was there before. */
static uint64_t end_of_fields(const struct scan *s)
{
	unsigned char scratch[8];
	const void *size;
	uint64_t end = s->end, items;

	if (!s->type->itemsize || s->type->inline_values)
		end = s->addr + s->type->basicsize;
	if (s->type->kind == KIND_TYPE) {
		size = graph__bytes(s->g, s->addr + HEADER_BYTES, 8, scratch);
		items = size ? word(size, 0) : 0;
		if (items < TABLE_MAX)
			end = s->addr + s->type->basicsize + items * s->type->itemsize;
	}
	if (s->type->kind == KIND_FRAME)
		end = end_of_frame(s);
	if (s->type->kind == KIND_GENERATOR)
		end = end_of_generator(s);
	if (s->type->kind == KIND_CODE) /* what follows are instructions, whose caches hold nothing */
		end = s->addr + s->g->py->layout->code_size;
	return end < s->end ? end : s->end;
}

/* Fields of the object, but those at [SKIP, SKIP_END) and its list of weak references, which do not hold what they refer to. */
static void scan_fields(const struct scan *s, uint64_t skip, uint64_t skip_end)
{
	uint64_t end = end_of_fields(s);
	uint64_t weaklist = s->type->weaklistoffset > 0 ? s->addr + s->type->weaklistoffset : 0;
	uint64_t from = s->addr + HEADER_BYTES, to;

	skip += s->addr;
	skip_end += s->addr;
	while (from < end) {
		to = end;
		if (from == weaklist) {
			from += 8;
			continue;
		}
		if (from >= skip && from < skip_end) {
			from = skip_end;
			continue;
		}
		if (weaklist > from && weaklist < to)
			to = weaklist;
		if (skip > from && skip < to && skip_end > skip)
			to = skip;
		scan_range(s, from, to, PLACE_WORD, (from - s->addr) / 8);
		from = to;
	}
}

/* The buffer at ADDR belongs to the object alone, whose layout says what is in it. */
static void own(const struct scan *s, uint64_t addr, uint32_t field_off)
{
	uint32_t buffer = graph__of_word(s->g, addr & ~7ULL);

	if (buffer == GRAPH_NONE || graph__tag(s->g, buffer) != TAG_BUFFER)
		return;
	s->g->flags[buffer] |= NODE_OWNED;
	s->visit(s->ctx, s->node, buffer, GRAPH_VIA(PLACE_WORD, field_off / 8));
}

static bool read_fields(const struct scan *s, void *out, uint32_t bytes)
{
	const void *found = s->addr + bytes <= s->end ? graph__bytes(s->g, s->addr, bytes, out) : NULL;

	if (found && found != out)
		memcpy(out, found, bytes);
	return found;
}

static void scan_list(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	unsigned char fields[64];
	uint64_t cnt, items;

	if (!read_fields(s, fields, l->list_items + 8))
		return;
	cnt = word(fields, 16);
	items = word(fields, l->list_items);
	if (cnt < TABLE_MAX && items) {
		own(s, items, l->list_items);
		scan_range(s, items, items + 8 * cnt, PLACE_ITEM, 0);
	}
	scan_fields(s, l->list_items, l->list_items + 8);
}

/* A subclass with attributes has its dict behind the items: tp_dictoffset counts from the end. */
static void scan_tuple(const struct scan *s)
{
	unsigned char scratch[8];
	const void *size = graph__bytes(s->g, s->addr + HEADER_BYTES, 8, scratch);
	uint64_t cnt = size ? word(size, 0) : TABLE_MAX, end;

	end = s->addr + s->type->items_off + 8 * cnt;
	if (cnt >= TABLE_MAX || end > s->end)
		return;
	scan_range(s, s->addr + s->type->items_off, end, PLACE_ITEM, 0);
	if (s->type->dictoffset < 0 && end + 8 <= s->end && !s->type->managed)
		scan_range(s, end, end + 8, PLACE_DICT, 0);
}

static void scan_set(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	const unsigned char *entries;
	unsigned char fields[96];
	uint64_t mask, table, at, batch;

	if (!read_fields(s, fields, l->set_table + 8))
		return;
	mask = word(fields, l->set_mask);
	table = word(fields, l->set_table);
	if (mask >= TABLE_MAX || mask & (mask + 1))
		return;
	if (table != s->addr + l->set_small_table)
		own(s, table, l->set_table);
	for (at = 0; at <= mask; at += batch) {
		batch = mask + 1 - at < GRAPH_PIECE_BYTES / 16 ? mask + 1 - at : GRAPH_PIECE_BYTES / 16;
		entries = graph__bytes(s->g, table + 16 * at, 16 * batch, s->g->piece);
		for (uint64_t i = 0; entries && i < batch; i++)
			refer(s, word(entries, 16 * i + (l->set_hash_first ? 8 : 0)), PLACE_ITEM, at + i);
	}
	/* behind the small table, of 8 entries, are the fields of subclasses */
	scan_fields(s, HEADER_BYTES, l->set_small_table + 8 * 16);
}

/* Modules/_collectionsmodule.c: blocks from left to right; .leftindex follows .rightblock. */
static void scan_deque(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	uint32_t data_off = l->deque_left_link ? 0 : 8;
	unsigned char fields[64], scratch[8];
	const void *link;
	uint64_t cnt, block, index, in_block, at = 0;

	if (!read_fields(s, fields, l->deque_right + 32))
		return;
	block = word(fields, l->deque_left);
	index = word(fields, l->deque_right + 8);
	cnt = word(fields, s->g->py->major < 3 ? l->deque_right + 24 : 16);
	if (index > l->deque_len || cnt >= TABLE_MAX)
		return;
	own(s, block, l->deque_left);
	while (at < cnt && block) {
		in_block = l->deque_len - index < cnt - at ? l->deque_len - index : cnt - at;
		scan_range(s, block + data_off + 8 * index, block + data_off + 8 * (index + in_block), PLACE_ITEM, at);
		at += in_block;
		index = 0;
		link = graph__bytes(s->g, block + l->deque_right_link, 8, scratch);
		block = link ? word(link, 0) : 0;
		own(s, block, l->deque_right);
	}
	for (uint32_t off = l->deque_right + 8; off + 8 <= s->type->basicsize && s->addr + off + 8 <= s->end; off += 8) {
		link = graph__bytes(s->g, s->addr + off, 8, scratch);
		own(s, link ? word(link, 0) : 0, off); /* blocks that wait: nobody clears them */
	}
	if (s->type->dictoffset > 0)
		scan_range(s, s->addr + s->type->dictoffset, s->addr + s->type->dictoffset + 8, PLACE_WORD, s->type->dictoffset / 8);
}

static void scan_values(const struct scan *s, uint64_t values, uint64_t cnt, enum graph_place place)
{
	if (cnt <= TABLE_MAX)
		scan_range(s, values, values + 8 * cnt, place, 0);
}

static void scan_entries(const struct scan *s, const struct dict_keys *keys, uint64_t entries)
{
	uint64_t batch, at_once = GRAPH_PIECE_BYTES / keys->entry_size;
	const unsigned char *bytes;

	for (uint64_t at = 0; at < keys->nentries; at += batch) {
		batch = keys->nentries - at < at_once ? keys->nentries - at : at_once;
		bytes = graph__bytes(s->g, entries + at * keys->entry_size, batch * keys->entry_size, s->g->piece);
		for (uint64_t i = 0; bytes && i < batch; i++) {
			refer(s, word(bytes, i * keys->entry_size + keys->key_off), PLACE_KEY, at + i);
			refer(s, word(bytes, i * keys->entry_size + keys->value_off), PLACE_VALUE, at + i);
		}
	}
}

static void scan_dict(const struct scan *s)
{
	const struct py_layout *l = s->g->py->layout;
	unsigned char fields[64], scratch[DICT_KEYS_HEADER_BYTES];
	const void *header;
	struct dict_keys keys;
	uint64_t table, values = 0, end = l->dict_values == NO_OFF ? l->dict_small_table + 8 * DICT27_ENTRY_BYTES : l->dict_values + 8;

	if (!read_fields(s, fields, l->dict_keys + 16))
		return;
	table = word(fields, l->dict_keys);
	if (l->dict_mask != NO_OFF) {
		keys = (struct dict_keys){ .nentries = word(fields, l->dict_mask) + 1, .entry_size = DICT27_ENTRY_BYTES, .key_off = 8, .value_off = 16 };
		if (table != s->addr + l->dict_small_table)
			own(s, table, l->dict_keys);
	} else {
		values = word(fields, l->dict_values);
		header = graph__bytes(s->g, table, sizeof(scratch), scratch);
		if (!header || dict_keys__decode(l, header, &keys))
			return;
		own(s, table, l->dict_keys);
	}
	if (keys.nentries >= TABLE_MAX)
		return;
	if (values) {
		own(s, values, l->dict_values);
		scan_values(s, values + l->values_first, keys.nentries, PLACE_VALUE);
	} else {
		scan_entries(s, &keys, table + keys.entries_off);
	}
	scan_fields(s, HEADER_BYTES, end);
}

/* Include/internal/pycore_object.h: words in front of an instance, counted down from its header. */
static void scan_front(const struct scan *s, uint32_t object_off)
{
	enum managed_kind kind = py_layout__managed(s->g->py->layout);
	unsigned char scratch[16];
	const void *front = object_off >= 32 ? graph__bytes(s->g, s->addr - 32, 16, scratch) : NULL;
	uint64_t dict, values = 0;

	if (!front)
		return;
	dict = word(front, 8);
	if (kind == MANAGED_VALUES_WORD)
		values = word(front, 0);
	if (kind == MANAGED_TAGGED_WORD && dict & 1) {
		values = dict + 1;
		dict = 0;
	}
	refer(s, dict, PLACE_DICT, 0);
	if (!values)
		return;
	own(s, values, 0);
	scan_values(s, values, s->type->values_cnt, PLACE_ATTR);
}

/* struct _dictvalues behind the fields: its capacity is the first byte. */
static void scan_inline_values(const struct scan *s)
{
	uint64_t at = s->addr + s->type->basicsize, first = s->g->py->layout->values_first;
	unsigned char scratch[8];
	const unsigned char *head = at + first <= s->end ? graph__bytes(s->g, at, 8, scratch) : NULL;
	uint64_t cnt = head ? head[0] : 0;

	if (at + first + 8 * cnt <= s->end)
		scan_values(s, at + first, cnt, PLACE_ATTR);
}

/* The table of a dict that waits in a free list: nobody uses it (dk_refcnt), nobody cleared it. */
static bool is_dead_table(const struct scan *s)
{
	unsigned char scratch[DICT_KEYS_HEADER_BYTES];
	const void *header = s->end - s->addr < sizeof(scratch) ? NULL : graph__bytes(s->g, s->addr, sizeof(scratch), scratch);
	struct dict_keys keys;

	return header && s->g->py->layout->dict_mask == NO_OFF && !word(header, 0) && !dict_keys__decode(s->g->py->layout, header, &keys);
}

/* An object that waits in a free list: nobody cleared what it referred to. */
static bool is_dead_object(const struct scan *s)
{
	const uint32_t offs[] = { 0, s->g->py->gc_head_bytes, s->g->py->gc_head_bytes + s->g->py->layout->preheader_bytes };
	unsigned char scratch[HEADS_MAX_BYTES + HEADER_BYTES];
	uint32_t size = s->end - s->addr < sizeof(scratch) ? (s->end - s->addr) & ~7ULL : sizeof(scratch), tag, off;
	const void *bytes = graph__bytes(s->g, s->addr, size, scratch);
	uint64_t type;

	for (size_t i = 0; bytes && i < sizeof(offs) / sizeof(offs[0]); i++) {
		off = offs[i];
		if (off + HEADER_BYTES > size)
			break;
		type = word(bytes, off + 8);
		if (word(bytes, off) || type < PAGE_BYTES || type & 7 || type >> 47)
			continue;
		tag = heap_types__tag(&s->g->census->heap->types, type);
		if (tag >= TAG_FIRST)
			return true;
	}
	return false;
}

static void scan_raw(const struct scan *s)
{
	unsigned char scratch[8];

	for (uint64_t off = HEADER_BYTES; off + 8 <= (uint64_t)s->type->basicsize && s->addr + off + 8 <= s->end; off += 8) {
		const void *at = graph__bytes(s->g, s->addr + off, 8, scratch);

		own(s, at ? word(at, 0) : 0, off);
	}
	if (s->type->dictoffset > 0)
		scan_range(s, s->addr + s->type->dictoffset, s->addr + s->type->dictoffset + 8, PLACE_WORD, s->type->dictoffset / 8);
}

static void scan_object(const struct scan *s, uint32_t object_off)
{
	switch (s->type->kind) {
	case KIND_LEAF:
		return;
	case KIND_RAW:
		scan_raw(s);
		break;
	case KIND_LIST:
		scan_list(s);
		break;
	case KIND_TUPLE:
		scan_tuple(s);
		break;
	case KIND_SET:
		scan_set(s);
		break;
	case KIND_DEQUE:
		scan_deque(s);
		break;
	case KIND_DICT:
		scan_dict(s);
		break;
	case KIND_WEAKREF:
		scan_range(s, s->addr + WEAKREF_CALLBACK_OFF, s->addr + WEAKREF_CALLBACK_OFF + 8, PLACE_WORD, WEAKREF_CALLBACK_OFF / 8);
		scan_fields(s, WEAKREF_OBJECT_OFF, WEAKREF_END);
		break;
	default:
		scan_fields(s, 0, 0);
	}
	if (s->type->managed)
		scan_front(s, object_off);
	if (s->type->inline_values)
		scan_inline_values(s);
}

void graph__scan(struct graph *g, uint32_t node, graph_visit visit, void *ctx)
{
	uint32_t tag = graph__tag(g, node), object_off;
	uint64_t bytes, block;
	struct scan s = { .g = g, .node = node, .visit = visit, .ctx = ctx };

	if (tag == TAG_NONE || (tag == TAG_BUFFER && g->flags[node] & NODE_OWNED))
		return;
	block = graph__block(g, node, &bytes, &object_off);
	s.addr = block + object_off;
	s.end = block + bytes;
	if (tag == TAG_BUFFER) {
		if (g->py->interp_addr >= s.addr && g->py->interp_addr < s.end)
			graph__scan_state(g, node, s.addr, s.end, visit, ctx);
		else if (!is_dead_object(&s) && !is_dead_table(&s))
			scan_range(&s, s.addr, s.end, PLACE_WORD, 0);
		return;
	}
	s.type = graph__type(g, tag);
	if (s.type)
		scan_object(&s, object_off);
}
