// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "dict.h"
#include "layout.h"
#include "object.h"
#include "python.h"
#include "type.h"

enum {
	HEAD_BYTES = 4096,   /* how much of a block is looked at */
	SLACK_BYTES = 32,    /* by which an allocator may round a size up */
	SAMPLES = 16,
	LINEAR_PROBES = 9,   /* Objects/setobject.c */
	SET_PLACES_MIN = 16, /* smaller ones are inside the set */
	SET_WINDOWS = 16,
	SET_WINDOW_PLACES = 32,
};

struct block {
	const struct py_interp *py;
	uint64_t addr, size;
	uint64_t words[HEAD_BYTES / 8];
	size_t word_cnt; /* read */
};

const char *block_use__name(enum block_use use)
{
	static const char *const names[USE_CNT] = {
		[USE_UNKNOWN] = "(buffer)",	    [USE_LIST_ITEMS] = "list items",
		[USE_DICT_KEYS] = "dict keys",	    [USE_DICT_VALUES] = "dict values",
		[USE_SET_TABLE] = "set table",	    [USE_DEQUE_BLOCK] = "deque block",
		[USE_BYTEARRAY] = "bytearray buffer",
	};

	return (unsigned int)use < USE_CNT ? names[use] : names[USE_UNKNOWN];
}

enum block_use block_use__of_function(const char *function)
{
	static const struct {
		const char *name;
		enum block_use use;
	} functions[] = {
		/* Objects/listobject.c, bytearrayobject.c, dictobject.c, setobject.c; Modules/_collectionsmodule.c */
		{ "list_resize", USE_LIST_ITEMS },          { "list_preallocate_exact", USE_LIST_ITEMS },
		{ "PyList_New", USE_LIST_ITEMS },           { "PyByteArray_Resize", USE_BYTEARRAY },
		{ "PyByteArray_FromStringAndSize", USE_BYTEARRAY },
		{ "new_keys_object", USE_DICT_KEYS },       { "clone_combined_dict_keys", USE_DICT_KEYS },
		{ "new_values", USE_DICT_VALUES },          { "_PyObject_InitializeDict", USE_DICT_VALUES },
		{ "dictresize", USE_DICT_KEYS },            /* 2.7 and to 3.10 */
		{ "set_table_resize", USE_SET_TABLE },      { "newblock", USE_DEQUE_BLOCK },
	};
	size_t len = strcspn(function, ".");

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strlen(functions[i].name) == len && !memcmp(functions[i].name, function, len))
			return functions[i].use;
	return USE_UNKNOWN;
}

static bool fits(const struct block *b, uint64_t expected)
{
	return expected <= b->size && b->size - expected < SLACK_BYTES;
}

static bool is_address(uint64_t addr)
{
	return addr >= 4096 && addr < 1UL << 47 && !(addr & 7);
}

/* ADDR is of a live object: a count, and a type behind it. */
static bool is_object(const struct block *b, uint64_t addr)
{
	struct type_info t;
	uint64_t header[2];

	if (!is_address(addr) || remote__read(&b->py->mem, addr, header, sizeof(header)))
		return false;
	header[0] &= b->py->layout->refcnt_mask;
	return header[0] && header[0] <= UINT32_MAX && !type_info__read(b->py, header[1], &t);
}

/*
 * Objects/dictobject.c of 2.7: (hash, key, value) each, a power of two of them. Most keys are in the place that their hash says. A
 * deleted one has a key, but no value.
 */
static bool is_dict27_table(const struct block *b)
{
	uint64_t places = 8, seen = 0, near = 0;

	while (places * DICT27_ENTRY_BYTES + SLACK_BYTES <= b->size && places < 1UL << 40)
		places *= 2;
	if (!fits(b, places * DICT27_ENTRY_BYTES))
		return false;
	for (uint64_t i = 0; i < places && 3 * i + 2 < b->word_cnt; i++) {
		const uint64_t *entry = b->words + 3 * i;

		if (!entry[1] && !entry[2])
			continue;
		if (!is_address(entry[1]) || (entry[2] && !is_address(entry[2])))
			return false;
		if (seen++ < SAMPLES && !is_object(b, entry[1]))
			return false;
		near += ((i - entry[0]) & (places - 1)) == 0;
	}
	return seen && near * 2 > seen;
}

static bool is_dict_keys(const struct block *b)
{
	struct dict_keys keys;

	if (b->py->layout->dict_mask != NO_OFF)
		return is_dict27_table(b);
	if (b->word_cnt * 8 < DICT_KEYS_HEADER_BYTES || !b->words[0] || b->words[0] > UINT32_MAX)
		return false;
	return !dict_keys__decode(b->py->layout, b->words, &keys) && fits(b, keys.total_bytes);
}

/* new_values() of 3.11 and 3.12: sizes and insertion order in the bytes before the values, the last one first */
static bool is_prefixed_values(const struct block *b)
{
	const unsigned char *bytes = (const unsigned char *)b->words;
	uint64_t prefix, capacity;

	for (prefix = 8; prefix <= 40 && prefix < b->word_cnt * 8; prefix += 8) {
		if (bytes[prefix - 1] != prefix)
			continue;
		for (capacity = prefix - 2; capacity && (capacity + 2 + 7) / 8 * 8 == prefix; capacity--)
			if (bytes[prefix - 2] <= capacity && capacity <= 30 && fits(b, prefix + 8 * capacity))
				return true;
	}
	return false;
}

/*
 * new_values() of 3.13: capacity, size, embedded and a byte that is not set (struct _dictvalues), the values, and in which
 * order they came.
 */
static bool is_counted_values(const struct block *b)
{
	const unsigned char *bytes = (const unsigned char *)b->words, *order;
	uint64_t capacity = bytes[0], used = bytes[1];

	if (!capacity || capacity > 30 || used > capacity || bytes[2] || !fits(b, 8 + 8 * capacity + (capacity + 7) / 8 * 8))
		return false;
	order = bytes + 8 + 8 * capacity;
	for (uint64_t i = 0; i < used; i++)
		if (order[i] >= capacity || !b->words[1 + order[i]])
			return false;
	return used > 0;
}

static bool is_dict_values(const struct block *b)
{
	switch (py_layout__managed(b->py->layout)) {
	case MANAGED_VALUES_WORD:
	case MANAGED_TAGGED_WORD:
		return is_prefixed_values(b);
	case MANAGED_INLINE:
		return is_counted_values(b);
	case MANAGED_NONE:
		break;
	}
	return false;
}

struct set_table {
	uint64_t places, seen, near;
};

/* setentry: key, hash. Keys are found near the place that their hash says, unless that was taken. */
static bool look_at_places(const struct block *b, const uint64_t *words, uint64_t first, uint64_t cnt, struct set_table *t)
{
	for (uint64_t i = 0; i < cnt; i++) {
		const bool hash_first = b->py->layout->set_hash_first;
		uint64_t key = words[2 * i + hash_first], hash = words[2 * i + !hash_first];

		if (!key && !hash)
			continue;
		if (b->py->set_dummy_addr && key == b->py->set_dummy_addr && hash == UINT64_MAX)
			continue;
		if (!is_address(key) || hash == UINT64_MAX)
			return false;
		if (t->seen++ < SAMPLES && !is_object(b, key))
			return false;
		t->near += ((first + i - hash) & (t->places - 1)) <= LINEAR_PROBES;
	}
	return true;
}

/* Keys may be crowded in one part of a table: windows all over it are looked at. */
static bool look_at_windows(const struct block *b, struct set_table *t)
{
	uint64_t words[SET_WINDOW_PLACES * 2], first;

	for (uint64_t i = 0; i < SET_WINDOWS; i++) {
		first = t->places / SET_WINDOWS * i;
		if (remote__read(&b->py->mem, b->addr + first * 16, words, sizeof(words)) ||
		    !look_at_places(b, words, first, SET_WINDOW_PLACES, t))
			return false;
	}
	return true;
}

static bool is_set_table(const struct block *b)
{
	struct set_table t = { .places = SET_PLACES_MIN };
	bool right;

	while (t.places * 16 + SLACK_BYTES <= b->size && t.places < 1UL << 40)
		t.places *= 2;
	if (!fits(b, t.places * 16) || !look_at_places(b, b->words, 0, b->word_cnt / 2 < t.places ? b->word_cnt / 2 : t.places, &t))
		return false;
	right = t.places <= b->word_cnt / 2 || look_at_windows(b, &t);
	return right && t.seen && t.near * 2 > t.seen;
}

/* Links at the ends of a deque are not set: one neighbour that links back is enough. */
static bool is_deque_block(const struct block *b)
{
	const uint32_t left = b->py->layout->deque_left_link, right = b->py->layout->deque_right_link;
	uint64_t back;

	if (!fits(b, (b->py->layout->deque_len + 2) * 8))
		return false;
	if (is_address(b->words[left / 8]) && !remote__read_u64(&b->py->mem, b->words[left / 8] + right, &back) && back == b->addr)
		return true;
	return is_address(b->words[right / 8]) && !remote__read_u64(&b->py->mem, b->words[right / 8] + left, &back) && back == b->addr;
}

/* list_resize(): more than half is in use, except in short lists. */
static bool is_object_array(const struct block *b)
{
	uint64_t total = b->size / 8, must = total <= 8 ? 1 : total / 2, step;

	if (must > b->word_cnt)
		must = b->word_cnt;
	step = must > SAMPLES ? must / SAMPLES : 1;
	for (uint64_t i = 0; i < must; i++)
		if (!is_address(b->words[i]) || (i % step == 0 && !is_object(b, b->words[i])))
			return false;
	return must > 0;
}

static bool all_same_type(const struct block *b, uint64_t cnt)
{
	uint64_t first, type;

	if (remote__read_u64(&b->py->mem, b->words[0] + 8, &first))
		return false;
	for (uint64_t i = 1; i < cnt; i++)
		if (remote__read_u64(&b->py->mem, b->words[i] + 8, &type) || type != first)
			return false;
	return true;
}

/*
 * Up to 3.10 the values of a split table are a plain array of USABLE_FRACTION(dk_size) pointers, zeroed at first: the
 * length and a tail of zeroes tell it from list items. When it is full of different types it may be either.
 */
static enum block_use array_use(const struct block *b)
{
	uint64_t cnt, used;

	if (!is_object_array(b))
		return USE_UNKNOWN;
	if (py_layout__managed(b->py->layout) != MANAGED_NONE || b->py->layout->dict_values == NO_OFF)
		return USE_LIST_ITEMS;
	for (uint64_t places = 8; places <= 128; places *= 2) {
		cnt = places * 2 / 3;
		/* SIZE is exact, or was rounded up to 16. */
		if (b->size != cnt * 8 && (b->size != cnt * 8 + 8 || b->size % 16))
			continue;
		for (used = 0; used < cnt && is_object(b, b->words[used]); used++)
			;
		if (used == cnt)
			return all_same_type(b, cnt) ? USE_LIST_ITEMS : USE_UNKNOWN;
		while (used < cnt && !b->words[used])
			used++;
		return used == cnt ? USE_DICT_VALUES : USE_LIST_ITEMS;
	}
	return USE_LIST_ITEMS;
}

enum block_use py_block__use(const struct py_interp *py, uint64_t addr, uint64_t size)
{
	struct block b = { .py = py, .addr = addr, .size = size };

	b.word_cnt = size < HEAD_BYTES ? size / 8 : HEAD_BYTES / 8;
	if (!b.word_cnt || remote__read(&py->mem, addr, b.words, b.word_cnt * 8))
		return USE_UNKNOWN;
	if (is_dict_keys(&b))
		return USE_DICT_KEYS;
	if (is_dict_values(&b))
		return USE_DICT_VALUES;
	if (is_deque_block(&b))
		return USE_DEQUE_BLOCK;
	if (is_set_table(&b))
		return USE_SET_TABLE;
	return array_use(&b);
}
