// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap_types.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"

/* A process has thousands of types. A heap full of what looks like types must not cost a system call per block. */
enum { READS_MAX = 1 << 18 };

enum { HOOK_BYTES = 16 }; /* Objects/obmalloc.c, _PyMem_DebugRawAlloc(): the size asked for, the domain, then 7 forbidden bytes */

void heap_types__init(struct heap_types *t, const struct py_interp *py)
{
	memset(t, 0, sizeof(*t));
	t->py = py;
	t->cnt = t->first_unused = TAG_FIRST;
	map__init(&t->tags, sizeof(uint64_t), sizeof(uint16_t));
	map__init(&t->seen, sizeof(uint64_t), sizeof(uint16_t));
}

void heap_types__free(struct heap_types *t)
{
	map__free(&t->tags);
	map__free(&t->seen);
	free(t->types);
	t->types = NULL;
	t->cnt = t->capacity = 0;
}

void heap_types__begin(struct heap_types *t)
{
	map__free(&t->seen);
	memset(t->fast, 0, sizeof(t->fast));
	t->reads = 0;
	t->exhausted = false;
	t->err = 0;
}

void heap_types__drop(struct heap_types *t, uint32_t tag)
{
	uint16_t *now = map__get(&t->tags, &t->types[tag].addr);

	/* Another type may have this address since. */
	if (now && *now == tag)
		map__del(&t->tags, &t->types[tag].addr);
	t->types[tag] = (struct heap_type){ 0 };
	if (tag < t->first_unused)
		t->first_unused = tag;
}

static uint32_t new_tag(struct heap_types *t)
{
	struct heap_type *bigger;
	uint32_t tag = t->first_unused, capacity;

	while (tag < t->cnt && t->types[tag].addr)
		tag++;
	t->first_unused = tag;
	if (tag >= TAG_END)
		return TAG_NONE;
	if (tag >= t->capacity) {
		capacity = t->capacity ? t->capacity * 2 : 1024;
		bigger = realloc(t->types, capacity * sizeof(*bigger));
		if (!bigger)
			return TAG_NONE;
		memset(bigger + t->capacity, 0, (capacity - t->capacity) * sizeof(*bigger));
		t->types = bigger;
		t->capacity = capacity;
	}
	if (tag >= t->cnt)
		t->cnt = tag + 1;
	return tag;
}

static uint32_t tag_of(struct heap_types *t, const struct type_info *info)
{
	struct heap_type type = { .addr = info->addr, .shape = type_shape__of(t->py, info) };
	uint16_t *known = map__get(&t->tags, &info->addr);
	uint32_t tag;
	int err;

	/* Only a type of Python's ends before the process does. */
	err = info->flags & TYPE_HEAP ? py_type__stamp(t->py, info->addr, &type.stamp) : 0;
	if (err) {
		t->err = err == -EFAULT ? t->err : err;
		return TAG_NONE;
	}
	if (known && t->types[*known].stamp == type.stamp) {
		t->types[*known].shape = type.shape;
		return *known;
	}
	tag = new_tag(t);
	known = tag == TAG_NONE ? NULL : map__put(&t->tags, &info->addr, NULL);
	if (!known) {
		t->exhausted = true;
		return TAG_NONE;
	}
	t->types[tag] = type;
	*known = tag;
	return tag;
}

uint32_t heap_types__ask(struct heap_types *t, uint64_t addr)
{
	size_t i = (addr >> 4 ^ addr >> 16) % HEAP_TYPES_FAST;
	uint16_t *seen = map__get(&t->seen, &addr);
	struct type_info info;
	uint32_t tag = TAG_NONE;
	int err;

	if (seen) {
		tag = *seen;
	} else {
		if (t->reads == READS_MAX) {
			t->exhausted = true;
			return TAG_NONE;
		}
		t->reads++;
		err = type_info__read(t->py, addr, &info);
		if (!err)
			tag = tag_of(t, &info);
		else if (err != -EFAULT)
			t->err = err;
		seen = map__put(&t->seen, &addr, NULL);
		if (seen)
			*seen = tag;
	}
	t->fast[i].addr = addr;
	t->fast[i].tag = tag;
	return tag;
}

static uint32_t classify(struct heap_types *t, const uint64_t *words, uint32_t size, uint32_t *at)
{
	const struct py_interp *py = t->py;
	uint32_t tag, step = py->gc_head_bytes % 16 ? 8 : 16;

	for (uint32_t off = 0; off <= OBJECT_HEADS_MAX_BYTES && off + OBJECT_HEADER_BYTES <= size; off += step) {
		const uint64_t *header = words + off / 8;

		if (!shape__is_refcnt(py, header[0]) || header[1] < 4096 || header[1] >> 47 || header[1] & 7)
			continue;
		tag = heap_types__tag(t, header[1]);
		if (tag == TAG_NONE || !type_shape__fits(py, &t->types[tag].shape, words, off, size))
			continue;
		*at = off;
		return tag;
	}
	return TAG_BUFFER;
}

/* Forbidden bytes are 0xfd, to 3.7 0xfb; the domain is 'o', 'm' or 'r'. */
bool heap_types__is_hook(const uint64_t *words)
{
	uint64_t forbidden = words[1] >> 8;
	unsigned char domain = words[1] & 0xff;

	return (forbidden == 0xfdfdfdfdfdfdfd || forbidden == 0xfbfbfbfbfbfbfb) && (domain == 'o' || domain == 'm' || domain == 'r');
}

/* What is too large for a pool pymalloc asks of the raw domain, which has hooks of its own. */
uint32_t heap_types__of_block(struct heap_types *t, const void *block, uint32_t size, uint32_t *off)
{
	const uint64_t *words = block;
	uint32_t tag, hooks = 0;

	while (hooks < 2 * HOOK_BYTES && size - hooks > HOOK_BYTES && heap_types__is_hook(words + hooks / 8))
		hooks += HOOK_BYTES;
	tag = classify(t, words + hooks / 8, size - hooks, off);
	if (tag != TAG_BUFFER)
		*off += hooks;
	return tag;
}
