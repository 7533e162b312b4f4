// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects one by one, and how large what they own is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "census_state.h"
#include "libc_heap.h"
#include "type.h"
#include "word.h"

enum {
	HOOK_BYTES = 16,
	LEAD_BYTES = 64, /* before a buffer in the C library's heap, at most: its chunk's header, hooks, the prefix of values */
	PREFIX_MAX_BYTES = 40,
	CHUNK_IS_MAPPED = 2,
};

void census__add(int64_t *total, int64_t n)
{
	if (__builtin_add_overflow(*total, n, total))
		*total = INT64_MAX;
}

struct census_type *census__type(struct census *c, uint32_t tag)
{
	uint32_t capacity = c->type_capacity;
	struct census_type *bigger, *t;
	struct type_info info;

	if (tag >= capacity) {
		while (capacity <= tag)
			capacity = capacity ? capacity * 2 : 1024;
		bigger = realloc(c->types, capacity * sizeof(*bigger));
		if (!bigger) {
			c->err = -ENOMEM;
			return NULL;
		}
		memset(bigger + c->type_capacity, 0, (capacity - c->type_capacity) * sizeof(*bigger));
		c->types = bigger;
		c->type_capacity = capacity;
	}
	t = &c->types[tag];
	if (!t->known && tag >= TAG_FIRST) {
		t->known = true;
		if (py_type__owner(c->py, c->heap->types.types[tag].addr, &t->owner))
			t->owner = (struct py_owner){ 0 };
		if (!type_info__read(c->py, c->heap->types.types[tag].addr, &info)) {
			t->basicsize = info.basicsize;
			t->itemsize = info.itemsize;
		}
	}
	return t;
}

/*
 * PyObject_GC_IsTracked(): from 3.8 on the link is not 0; before that gc_refs is not _PyGC_REFS_UNTRACKED, -2, which 3.6 and 3.7 have one bit
 * further up (Include/objimpl.h). The collector borrows the lowest bits of the link.
 */
uint64_t census__gc_next(const struct py_interp *py, const unsigned char *header)
{
	const unsigned char *head = header - py->gc_head_bytes;
	uint64_t next = word(head, 0) & ~3ULL;
	int64_t refs;

	if (py->gc_head_bytes == 16)
		return next;
	refs = word(head, 16);
	return (py->major < 3 ? refs : refs >> 1) == -2 ? 0 : next;
}

/* The block of a pool that ADDR is in: how large it is and how far behind its begin ADDR is. */
static bool pool_block(const struct census *c, uint64_t addr, uint32_t *bytes, uint32_t *behind)
{
	const struct found_pool *p;

	if (c->heap->found) {
		p = found_pools__of(c->heap->found, addr);
		if (!p || !p->block_bytes || addr - p->addr < POOL_HEADER_BYTES)
			return false;
		*bytes = p->block_bytes;
		*behind = (addr - p->addr - POOL_HEADER_BYTES) % p->block_bytes;
		return true;
	}
	return heap__place(c->heap, addr, bytes, behind);
}

static void put(struct census *c, const struct census_buffer *b, int64_t bytes)
{
	struct census_type *t = &c->types[b->tag];
	int64_t all;

	if (__builtin_mul_overflow(bytes, b->times, &all) || all < 0 || (uint64_t)all > c->status.rss_bytes + c->status.swap_bytes)
		return;
	census__add(&t->buffer_bytes, all);
	if (b->is_new)
		census__add(&t->new_buffer_bytes, all);
	if (b->owner_bytes + all > t->largest)
		t->largest = b->owner_bytes + all;
}

/* What lies before a buffer, from LEAD bytes before it on. */
static uint32_t lead_of(const struct census_buffer *b)
{
	return b->values ? LEAD_BYTES : b->hooked ? 16 + HOOK_BYTES : 16;
}

/* By the word in front of a chunk, if that is where glibc has some: another allocator may have given this. */
static void size_of_buffer(struct census *c, const struct census_buffer *b, const unsigned char *lead)
{
	uint32_t at = lead_of(b), prefix;
	enum managed_kind kind = py_layout__managed(c->py->layout);
	uint64_t size, words[2];
	uint64_t mapped, chunk;

	if (b->values && (kind == MANAGED_VALUES_WORD || kind == MANAGED_TAGGED_WORD)) {
		prefix = lead[at - 1];
		if (!prefix || prefix % 8 || prefix > PREFIX_MAX_BYTES)
			return;
		at -= prefix;
	}
	if (b->hooked)
		at -= HOOK_BYTES;
	size = word(lead, at - 8);
	chunk = b->addr - (lead_of(b) - at) - LIBC_CHUNK_HEADER_BYTES;
	memcpy(words, lead + at - 16, sizeof(words));
	/* pymalloc asked the raw domain, which has hooks, too */
	if (b->hooked && heap_types__is_hook(words)) {
		chunk -= HOOK_BYTES;
		if (remote__read_u64(&c->py->mem, chunk + 8, &size))
			return;
	}
	mapped = libc_mapping_bytes(size);
	if (mapped && (chunk & 4095) == 0)
		put(c, b, mapped - LIBC_CHUNK_HEADER_BYTES);
	else if (!(size & CHUNK_IS_MAPPED) && (size & ~7ULL) >= 32 && size % 16 < 8 && census__in_heap(c, chunk))
		put(c, b, (size & ~7ULL) - 8);
}

static uint32_t look_of(const struct census_buffer *b)
{
	return lead_of(b) + (b->values ? 8 : 0);
}

static void take_buffer(struct census *c, const struct census_buffer *b, const unsigned char *lead)
{
	/* struct _dictvalues of 3.13+: capacity, size, embedded */
	bool embedded = b->values && py_layout__managed(c->py->layout) == MANAGED_INLINE && lead[LEAD_BYTES + 2];

	if (!embedded)
		size_of_buffer(c, b, lead);
}

/* Most buffers are near their owners. */
static bool take_from_window(struct census *c, const struct census_buffer *b)
{
	const void *lead = c->walk ? libc_walk__peek(c->walk, b->addr - lead_of(b), look_of(b)) : NULL;

	if (lead)
		take_buffer(c, b, lead);
	return lead;
}

/* Blocks that are no object, less those that an object owns: a cluster's share of both, wherever these are. */
static void count_buffer(struct census *c, int64_t cnt, int64_t bytes)
{
	struct census_type *t = census__type(c, TAG_BUFFER);

	if (!t)
		return;
	census_sample__touch(c, t, TAG_BUFFER);
	census__add(&t->objects, cnt);
	census__add(&t->bytes, bytes);
}

/*
 * O owns the buffer at ADDR, or as many of that size as TIMES says. Values: the address is that of struct _dictvalues, or behind the prefix that 3.11
 * and 3.12 have; those that are part of an instance (3.13+) do not begin where a block does. Static tables of empty containers are nobody's.
 */
static void own(struct census *c, const struct census_object *o, uint64_t addr, int64_t times, bool values)
{
	const struct census_buffer b = { addr, times, o->bytes, o->tag, values, o->hooked, o->is_new };
	uint32_t bytes, behind;

	if (addr < 4096 || addr >> 47 || (addr >= c->py->module_start && addr < c->py->module_end))
		return;
	if (pool_block(c, addr, &bytes, &behind)) {
		if (values && py_layout__managed(c->py->layout) == MANAGED_INLINE && behind != (o->hooked ? HOOK_BYTES : 0))
			return;
		if (c->options.sample)
			count_buffer(c, -times, -times * bytes);
		census__add(&c->owned_blocks, times);
		census__add(&c->owned_block_bytes, times * bytes);
		put(c, &b, bytes);
		return;
	}
	if (!c->stats.has_libc)
		return; /* nothing is known of its size */
	if (take_from_window(c, &b))
		return;
	if (c->buffer_cnt == CENSUS_BUFFERS_CNT)
		census__flush_buffers(c);
	c->buffers[c->buffer_cnt++] = b;
}

static uint64_t field(const struct census_object *o, uint32_t off)
{
	return off <= o->available && o->available - off >= 8 ? word(o->header, off) : 0;
}

/* Modules/_collectionsmodule.c: .leftindex follows .rightblock, and there is always a block. */
static void own_deque(struct census *c, const struct census_object *o)
{
	const struct py_layout *l = c->py->layout;
	uint64_t left_index = field(o, l->deque_right + 8), cnt = field(o, c->py->major < 3 ? l->deque_right + 24 : 16);

	if (left_index > l->deque_len || cnt > 1ULL << 36)
		return;
	own(c, o, field(o, l->deque_left), cnt ? (left_index + cnt - 1) / l->deque_len + 1 : 1, false);
}

static void own_dict(struct census *c, const struct census_object *o)
{
	const struct py_layout *l = c->py->layout;
	uint64_t keys = field(o, l->dict_keys), values = l->dict_values == NO_OFF ? 0 : field(o, l->dict_values);

	if (l->dict_small_table != NO_OFF && keys == o->addr + l->dict_small_table)
		return;
	own(c, o, values ? values : keys, 1, values != 0);
}

static void own_managed(struct census *c, const struct census_object *o)
{
	enum managed_kind kind = py_layout__managed(c->py->layout);
	uint64_t values = 0;

	if (kind == MANAGED_VALUES_WORD)
		values = word(o->header - 32, 0);
	else if (kind == MANAGED_TAGGED_WORD && word(o->header - 24, 0) & 1)
		values = word(o->header - 24, 0) + 1;
	if (values)
		own(c, o, values, 1, true);
}

static void own_all(struct census *c, const struct census_object *o, const struct py_owner *owner)
{
	const struct py_layout *l = c->py->layout;
	uint64_t table;

	switch (owner->container) {
	case OWNS_NOTHING:
		break;
	case OWNS_LIST:
		own(c, o, field(o, l->list_items), 1, false);
		break;
	case OWNS_DICT:
		own_dict(c, o);
		break;
	case OWNS_SET:
		table = field(o, l->set_table);
		if (table != o->addr + l->set_small_table)
			own(c, o, table, 1, false);
		break;
	case OWNS_BYTEARRAY:
		own(c, o, field(o, l->bytearray_bytes), 1, false);
		break;
	case OWNS_DEQUE:
		own_deque(c, o);
		break;
	}
	/* By the type as it was when the object was found: only then all the words are there, its flags may have changed since. */
	if (owner->managed && c->heap->types.types[o->tag].shape.heads_bytes == OBJECT_HEADS_MAX_BYTES)
		own_managed(c, o);
}

static bool is_new(const struct census *c, uint32_t since)
{
	return since >= c->options.new_from && since <= c->options.new_to;
}

void census__count(struct census *c, struct census_object *o)
{
	struct census_type *t = census__type(c, o->tag);
	uint64_t next;

	if (!t)
		return;
	census_sample__touch(c, t, o->tag);
	t->objects++;
	census__add(&t->bytes, o->bytes);
	o->is_new = is_new(c, o->since ? o->since : census_since__of(c, o->addr, o->tag));
	if (o->is_new) {
		t->new_objects++;
		census__add(&t->new_bytes, o->bytes);
	}
	if ((int64_t)o->bytes > t->largest)
		t->largest = o->bytes;
	if (c->heap->types.types[o->tag].shape.gc) {
		next = census__gc_next(c->py, o->header);
		t->tracked += next != 0;
		if (next)
			census__link(c, next, o->addr);
	}
	if (t->owner.container != OWNS_NOTHING || t->owner.managed)
		own_all(c, o, &t->owner);
}

void census__see_block(void *census, const struct heap_seen *seen)
{
	struct census *c = census;
	uint32_t off = seen->object_off;

	if (c->observer && !c->err)
		c->observer->block(c->observer->ctx, seen);
	if (c->err)
		return;
	if (seen->tag == TAG_BUFFER) {
		if (c->options.sample)
			count_buffer(c, 1, seen->bytes);
		return;
	}
	census__count(c, &(struct census_object){
				 .addr = seen->addr + off,
				 .header = (const unsigned char *)seen->content + off,
				 .available = seen->bytes - off,
				 .tag = seen->tag,
				 .bytes = seen->bytes,
				 .hooked = off > c->heap->types.types[seen->tag].shape.heads_bytes,
				 .since = seen->since,
			 });
}

void census__flush_buffers(struct census *c)
{
	unsigned char (*leads)[LEAD_BYTES + 8] = c->buffer_cnt ? calloc(c->buffer_cnt, sizeof(*leads)) : NULL;
	struct remote_item *items = c->buffer_cnt ? calloc(c->buffer_cnt, sizeof(*items)) : NULL;
	int err = !c->buffer_cnt || (leads && items) ? 0 : -ENOMEM;

	for (size_t i = 0; i < c->buffer_cnt && !err; i++)
		items[i] = (struct remote_item){ c->buffers[i].addr - lead_of(&c->buffers[i]), leads[i], look_of(&c->buffers[i]), 0 };
	if (!err)
		err = remote__read_many(&c->py->mem, items, c->buffer_cnt);
	for (size_t i = 0; i < c->buffer_cnt && !err; i++)
		if (items[i].ok)
			take_buffer(c, &c->buffers[i], leads[i]);
	if (err)
		c->err = err;
	c->buffer_cnt = 0;
	free(leads);
	free(items);
}
