// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dict.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "layout.h"
#include "python.h"
#include "word.h"

enum {
	ENTRIES_MAX = 65536,
	FIND_MAX = 8192, /* whose keys are read one by one */
	BATCH_CNT = 32,
	KEY_BYTES = 96, /* header and text of a short ASCII str */
};

/* DK_IXSIZE to 3.10, new_keys_object() from 3.11: the same for powers of two. */
static uint64_t index_bytes(uint64_t places)
{
	if (places < 1UL << 8)
		return places;
	if (places < 1UL << 16)
		return 2 * places;
	return places < 1UL << 32 ? 4 * places : 8 * places;
}

int dict_keys__decode(const struct py_layout *l, const void *header, struct dict_keys *out)
{
	const unsigned char *bytes = header;
	bool general = true;
	uint64_t capacity;

	if (l->keys_size + 8 > DICT_KEYS_HEADER_BYTES || l->keys_usable + 8 > DICT_KEYS_HEADER_BYTES ||
	    l->keys_nentries + 8 > DICT_KEYS_HEADER_BYTES || (l->keys_kind != NO_OFF && l->keys_kind >= DICT_KEYS_HEADER_BYTES))
		return -EFAULT;
	if (l->keys_kind != NO_OFF) {
		if (bytes[l->keys_size] > 40 || bytes[l->keys_kind] > 2)
			return -EFAULT;
		out->places = 1UL << bytes[l->keys_size];
		general = bytes[l->keys_kind] == 0;
	} else {
		out->places = word(bytes, l->keys_size);
	}
	out->usable = word(bytes, l->keys_usable);
	out->nentries = word(bytes, l->keys_nentries);
	/* PyDict_MINSIZE is 8; the static table of empty dicts has 1. */
	if (out->places < 8 || out->places > 1UL << 40 || out->places & (out->places - 1))
		return -EFAULT;
	capacity = out->places * 2 / 3; /* USABLE_FRACTION */
	if (out->usable > capacity || out->nentries > capacity || out->usable + out->nentries > capacity)
		return -EFAULT;
	out->key_off = general ? 8 : 0;
	out->value_off = out->key_off + 8;
	out->entry_size = out->value_off + 8;
	out->entries_off = l->keys_indices + index_bytes(out->places);
	if (l->keys_kind != NO_OFF && 1UL << (bytes[l->keys_size + 1] & 63) != index_bytes(out->places))
		return -EFAULT;
	out->total_bytes = out->entries_off + capacity * out->entry_size;
	return 0;
}

struct lookup {
	const struct py_interp *py;
	const char *key;
	size_t len;
	struct dict_keys keys;
	uint64_t keys_addr, values_addr; /* 0: combined table */
};

/* Only an ASCII str can be equal to KEY, which is ASCII: it is compact, and its text follows the header. */
static bool is_key(const struct lookup *find, const unsigned char *bytes)
{
	const struct py_layout *l = find->py->layout;
	uint32_t state;

	if (l->str_state != NO_OFF) {
		memcpy(&state, bytes + l->str_state, sizeof(state));
		if ((state >> 5 & 3) != 3)
			return false;
	}
	return word(bytes, 8) == find->py->types.str && word(bytes, l->str_length) == find->len &&
	       !memcmp(bytes + l->str_ascii_size, find->key, find->len);
}

static int value_of(const struct lookup *find, uint64_t i, const unsigned char *entry, uint64_t *value)
{
	if (!find->values_addr) {
		*value = word(entry, find->keys.value_off);
		return *value ? 0 : -ENOENT;
	}
	if (remote__read_u64(&find->py->mem, find->values_addr + 8 * i, value) || !*value)
		return -ENOENT;
	return 0;
}

/* Looks at CNT entries from the I-th on. */
static int find_in_batch(const struct lookup *find, uint64_t i, uint64_t cnt, uint64_t *value)
{
	unsigned char entries[BATCH_CNT * 24], texts[BATCH_CNT][KEY_BYTES];
	struct remote_item items[BATCH_CNT];
	uint64_t size = find->keys.entry_size;
	int err;

	err = remote__read(&find->py->mem, find->keys_addr + find->keys.entries_off + i * size, entries, cnt * size);
	if (err)
		return err;
	for (uint64_t k = 0; k < cnt; k++)
		items[k] = (struct remote_item){
			.addr = word(entries + k * size, find->keys.key_off),
			.out = texts[k],
			.size = find->py->layout->str_ascii_size + find->len + 1,
		};
	err = remote__read_many(&find->py->mem, items, cnt);
	if (err)
		return err;
	for (uint64_t k = 0; k < cnt; k++)
		if (items[k].ok && is_key(find, texts[k]))
			return value_of(find, i + k, entries + k * size, value);
	return -ENOENT;
}

/* Objects/dictobject.c of 2.7: one table of (hash, key, value), a power of two long. */
static int start_lookup_27(struct lookup *find, uint64_t dict)
{
	const struct py_layout *l = find->py->layout;
	uint64_t mask;
	int err;

	err = remote__read_u64(&find->py->mem, dict + l->dict_mask, &mask);
	if (!err)
		err = remote__read_u64(&find->py->mem, dict + l->dict_keys, &find->keys_addr);
	if (!err && (mask & (mask + 1) || mask < 7))
		err = -EFAULT;
	find->keys = (struct dict_keys){ .nentries = mask + 1, .entry_size = DICT27_ENTRY_BYTES, .key_off = 8, .value_off = 16 };
	return err;
}

static int start_lookup(struct lookup *find, uint64_t dict)
{
	unsigned char header[DICT_KEYS_HEADER_BYTES];
	const struct py_layout *l = find->py->layout;
	int err;

	find->len = strlen(find->key);
	if (find->len + l->str_ascii_size + 1 > KEY_BYTES)
		return -EINVAL;
	if (l->dict_mask != NO_OFF)
		return start_lookup_27(find, dict);
	err = remote__read_u64(&find->py->mem, dict + l->dict_keys, &find->keys_addr);
	if (!err)
		err = remote__read_u64(&find->py->mem, dict + l->dict_values, &find->values_addr);
	if (!err)
		err = remote__read(&find->py->mem, find->keys_addr, header, sizeof(header));
	if (err)
		return err;
	if (find->values_addr)
		find->values_addr += l->values_first;
	return dict_keys__decode(l, header, &find->keys);
}

int py_dict__entries(const struct py_interp *py, uint64_t dict, struct dict_entry *out, size_t max)
{
	unsigned char entries[BATCH_CNT * 24];
	struct lookup find = { .py = py, .key = "" };
	uint64_t size, cnt, n = 0;
	int err = start_lookup(&find, dict);

	if (err)
		return err;
	size = find.keys.entry_size;
	if (find.values_addr || find.keys.nentries > ENTRIES_MAX)
		return -EFAULT;
	for (uint64_t i = 0; i < find.keys.nentries; i += cnt) {
		cnt = find.keys.nentries - i < BATCH_CNT ? find.keys.nentries - i : BATCH_CNT;
		err = remote__read(&py->mem, find.keys_addr + find.keys.entries_off + i * size, entries, cnt * size);
		if (err)
			return err;
		for (uint64_t k = 0; k < cnt; k++) {
			const unsigned char *entry = entries + k * size;

			if (!word(entry, find.keys.value_off))
				continue;
			if (n == max)
				return -EFAULT;
			out[n++] = (struct dict_entry){ word(entry, find.keys.key_off), word(entry, find.keys.value_off) };
		}
	}
	return n;
}

int py_dict__find(const struct py_interp *py, uint64_t dict, const char *key, uint64_t *value)
{
	struct lookup find = { .py = py, .key = key };
	uint64_t cnt;
	int err;

	err = start_lookup(&find, dict);
	if (err)
		return err;
	err = -ENOENT;
	for (uint64_t i = 0; i < find.keys.nentries && i < FIND_MAX && err == -ENOENT; i += cnt) {
		cnt = find.keys.nentries - i < BATCH_CNT ? find.keys.nentries - i : BATCH_CNT;
		err = find_in_batch(&find, i, cnt, value);
	}
	return err == -ENOENT && find.keys.nentries > FIND_MAX ? -EFAULT : err;
}
