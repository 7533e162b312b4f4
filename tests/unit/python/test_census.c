// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What objects own and where the collector's links lead, in made-up memory of every version; then in memory that lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "census_state.h"
#include "layout.h"
#include "libc_heap.h"
#include "python.h"
#include "type.h"

enum { IMAGE_WORDS = 8192, ROUNDS = 2000, OBJECT_BYTES = 1024 };
#define IMAGE_ADDR 0x7f0000000000UL

struct world {
	uint64_t words[IMAGE_WORDS];
	struct py_interp py;
	struct census *c;
	uint64_t next; /* free from there on */
};

static void put(struct world *w, uint64_t addr, uint64_t value)
{
	uint64_t i = (addr - IMAGE_ADDR) / 8;

	if (i < IMAGE_WORDS)
		w->words[i] = value;
}

static unsigned char *at(struct world *w, uint64_t addr)
{
	return (unsigned char *)w->words + (addr - IMAGE_ADDR);
}

static uint64_t take(struct world *w, uint64_t bytes)
{
	uint64_t addr = w->next;

	w->next += (bytes + 15) & ~15UL;
	assert_true(w->next <= IMAGE_ADDR + sizeof(w->words));
	return addr;
}

static uint64_t make_type(struct world *w, uint64_t flags)
{
	const struct py_layout *l = w->py.layout;
	uint64_t addr = take(w, 512), name = take(w, 16);

	memcpy(at(w, name), "made.Up", 8);
	put(w, addr, 1);
	put(w, addr + 8, w->py.types.type ? w->py.types.type : addr);
	put(w, addr + l->type_name, name);
	put(w, addr + l->type_basicsize, 40);
	put(w, addr + l->type_itemsize, 8);
	put(w, addr + l->type_flags, TYPE_READY | flags);
	return addr;
}

static void make_world(struct world *w, int major, int minor)
{
	memset(w, 0, sizeof(*w));
	w->py = (struct py_interp){ .major = major, .minor = minor, .layout = py_layout__find(major, minor) };
	w->py.gc_head_bytes = w->py.layout->gc_head;
	w->py.mem = remote__image(w->words, sizeof(w->words), IMAGE_ADDR);
	w->py.module_start = 0x1000;
	w->py.module_end = 0x2000;
	w->next = IMAGE_ADDR + 4096;
	w->py.types.type = make_type(w, TYPE_GC | TYPE_TYPE_SUBCLASS);
	w->py.types.list = make_type(w, TYPE_GC | TYPE_LIST_SUBCLASS);
	w->py.types.dict = make_type(w, TYPE_GC | TYPE_DICT_SUBCLASS);
	w->py.types.set = make_type(w, TYPE_GC);
	w->py.types.bytearray = make_type(w, 0);
	w->py.names.types = NAMES_TRUE;
	w->c = census__new(&w->py);
	assert_non_null(w->c);
	w->c->stats.has_libc = true;
	w->c->status.rss_bytes = 1 << 20;
	w->c->heaps = malloc(sizeof(*w->c->heaps));
	w->c->heaps[0] = (struct census_range){ IMAGE_ADDR, IMAGE_ADDR + sizeof(w->words) };
	w->c->heap_cnt = w->c->heap_capacity = 1;
}

static void end_world(struct world *w)
{
	census__free(w->c);
	w->c = NULL;
}

/* An object with room for heads in front of it; tracked, where its type is, as the last of its list. */
static uint64_t make_object(struct world *w, uint64_t type)
{
	uint64_t addr = take(w, 256) + 64, head = addr - w->py.gc_head_bytes;

	put(w, addr, 1);
	put(w, addr + 8, type);
	put(w, head, 0x7e0000000000);
	put(w, head + 8, 0x7e0000000000);
	return addr;
}

static void count(struct world *w, uint64_t object, uint64_t type)
{
	uint32_t tag = heap_types__tag(&w->c->heap->types, type);

	assert_true(tag >= TAG_FIRST);
	census__count(w->c, &(struct census_object){ object, at(w, object), CENSUS_LOOK_BYTES, tag, 64, false, 0, false });
}

static const struct census_type *counted(struct world *w, uint64_t type)
{
	return &w->c->types[heap_types__tag(&w->c->heap->types, type)];
}

/* What malloc gives: the word in front of it has its size. */
static uint64_t make_chunk(struct world *w, uint64_t bytes)
{
	uint64_t addr = take(w, bytes + 16) + 16;

	put(w, addr - 8, (bytes + 16) | 1);
	return addr;
}

static const struct {
	int major, minor;
} versions[] = { { 2, 7 }, { 3, 6 }, { 3, 7 }, { 3, 8 }, { 3, 9 }, { 3, 10 }, { 3, 11 }, { 3, 12 }, { 3, 13 }, { 3, 14 } };
#define FOR_ALL(w)                                                                                              \
	for (size_t v_ = 0; v_ < sizeof(versions) / sizeof(versions[0]) &&                                      \
			    (make_world(w, versions[v_].major, versions[v_].minor), true); end_world(w), v_++)

static void what_objects_own(void **state)
{
	struct world *w = *state;
	uint64_t list, dict, set, array, items;

	FOR_ALL(w) {
		const struct py_layout *l = w->py.layout;

		list = make_object(w, w->py.types.list);
		items = make_chunk(w, 1024);
		put(w, list + l->list_items, items);
		count(w, list, w->py.types.list);
		dict = make_object(w, w->py.types.dict);
		put(w, dict + l->dict_keys, make_chunk(w, 2048));
		count(w, dict, w->py.types.dict);
		set = make_object(w, w->py.types.set);
		put(w, set + l->set_table, set + l->set_small_table);
		count(w, set, w->py.types.set);
		array = make_object(w, w->py.types.bytearray);
		put(w, array + l->bytearray_bytes, 0x1800); /* the empty one, in the interpreter's file */
		count(w, array, w->py.types.bytearray);
		census__flush_buffers(w->c);
		assert_int_equal(w->c->err, 0);
		assert_int_equal(counted(w, w->py.types.list)->objects, 1);
		assert_int_equal(counted(w, w->py.types.list)->bytes, 64);
		assert_int_equal(counted(w, w->py.types.list)->buffer_bytes, 1032);
		assert_int_equal(counted(w, w->py.types.list)->largest, 64 + 1032);
		assert_int_equal(counted(w, w->py.types.dict)->buffer_bytes, 2056);
		assert_int_equal(counted(w, w->py.types.set)->buffer_bytes, 0);
		assert_int_equal(counted(w, w->py.types.bytearray)->buffer_bytes, 0);
		/* more than the process has, or no chunk: not believed */
		put(w, items - 8, 1 << 30 | 1);
		count(w, list, w->py.types.list);
		census__flush_buffers(w->c);
		put(w, items - 8, 0xffffffffffffffff);
		count(w, list, w->py.types.list);
		census__flush_buffers(w->c);
		put(w, items - 8, 1024 | 2); /* a mapping that is no whole page */
		count(w, list, w->py.types.list);
		census__flush_buffers(w->c);
		put(w, items - 8, 4096 | 2); /* one that does not begin with its page */
		count(w, list, w->py.types.list);
		census__flush_buffers(w->c);
		put(w, items - 8, 1040 | 1); /* in memory of another allocator */
		w->c->heap_cnt = 0;
		count(w, list, w->py.types.list);
		census__flush_buffers(w->c);
		w->c->heap_cnt = 1;
		assert_int_equal(counted(w, w->py.types.list)->buffer_bytes, 1032);
		assert_int_equal(counted(w, w->py.types.list)->objects, 6);
	}
}

/* In front of what a chunk begins with there is nothing that could be read as an object's heads. */
static void heads_that_are_not_there(void **state)
{
	struct world *w = *state;
	const struct py_layout *l;
	uint64_t words[4 + LIBC_HEAD_BYTES / 8], type, chunk;

	make_world(w, 2, 7);
	w->py.types.float_ = type = make_type(w, TYPE_GC);
	chunk = make_chunk(w, 1000);
	for (uint64_t at = chunk + 8; at + 24 <= chunk + 1000; at += 24) {
		put(w, at, 1);
		put(w, at + 8, type);
	}
	census__see_chunk(w->c, &(struct libc_chunk){ chunk, 1000, at(w, chunk), LIBC_HEAD_BYTES, false });
	assert_int_equal(w->c->err, 0);
	assert_null(w->c->types);
	end_world(w);
	/* The type's flags change between the look at its shape and at what its instances own. */
	make_world(w, 3, 11);
	l = w->py.layout;
	type = make_type(w, 0);
	assert_true(heap_types__tag(&w->c->heap->types, type) >= TAG_FIRST);
	put(w, type + l->type_flags, TYPE_READY | TYPE_GC | TYPE_MANAGED_DICT);
	memset(words, 0, sizeof(words));
	words[0] = make_chunk(w, 256); /* would be the values */
	words[4] = 1;
	words[5] = type;
	census__see_chunk(w->c, &(struct libc_chunk){ make_chunk(w, 64), 72, words + 4, 72, false });
	assert_int_equal(counted(w, type)->objects, 1);
	assert_int_equal(w->c->buffer_cnt, 0);
	end_world(w);
}

static void who_is_tracked(void **state)
{
	struct world *w = *state;
	uint64_t list, head;

	FOR_ALL(w) {
		list = make_object(w, w->py.types.list);
		head = list - w->py.gc_head_bytes;
		assert_int_equal(census__gc_next(&w->py, at(w, list)), 0x7e0000000000);
		put(w, head, 0x7e0000000003); /* the collector is at work */
		assert_int_equal(census__gc_next(&w->py, at(w, list)), 0x7e0000000000);
		if (w->py.gc_head_bytes == 16)
			put(w, head, 0);
		else
			put(w, head + 16, w->py.major < 3 ? -2 : -4); /* _PyGC_REFS_UNTRACKED */
		assert_int_equal(census__gc_next(&w->py, at(w, list)), 0);
	}
}

/* From a list's head through objects, in a circle, and to places that are none. */
static void links_are_followed(void **state)
{
	struct world *w = *state;
	uint64_t objects[5], list, gc;

	FOR_ALL(w) {
		gc = w->py.gc_head_bytes;
		list = take(w, 64);
		w->py.gc_lists[0] = list;
		for (int i = 0; i < 5; i++)
			objects[i] = make_object(w, w->py.types.list);
		put(w, list, objects[0] - gc);
		for (int i = 0; i < 4; i++)
			put(w, objects[i] - gc, objects[i + 1] - gc);
		put(w, objects[4] - gc, list);
		assert_int_equal(census__follow_links(w->c), 0);
		assert_int_equal(counted(w, w->py.types.list)->objects, 5);
		assert_int_equal(counted(w, w->py.types.list)->tracked, 5);
		/* in a circle: each once; one is known already */
		memset(w->c->types, 0, w->c->type_capacity * sizeof(*w->c->types));
		map__free(&w->c->linked);
		map__init(&w->c->linked, sizeof(uint64_t), 1);
		put(w, objects[4] - gc, objects[1] - gc);
		w->c->found = malloc(sizeof(uint64_t));
		w->c->found[0] = objects[0];
		w->c->found_cnt = w->c->found_capacity = 1;
		put(w, objects[3], 0); /* dead: not counted, but the list goes on */
		census__link(w->c, objects[1] - gc, 0);
		assert_int_equal(census__follow_links(w->c), 0);
		assert_int_equal(counted(w, w->py.types.list)->objects, 3);
	}
}

static void garbage(void **state)
{
	struct world *w = *state;
	uint64_t list, items, object;

	FOR_ALL(w) {
		assert_false(census__read_garbage(w->c));
		w->py.gc_garbage_addr = take(w, 16);
		assert_true(census__read_garbage(w->c));
		list = make_object(w, w->py.types.list);
		object = make_object(w, w->py.types.set);
		items = take(w, 64);
		put(w, w->py.gc_garbage_addr, list);
		put(w, list + 16, 2);
		put(w, list + w->py.layout->list_items, items);
		put(w, items, object);
		put(w, items + 8, object);
		assert_true(census__read_garbage(w->c));
		assert_int_equal(counted(w, w->py.types.set)->uncollectable, 2);
		put(w, list + 16, -1);
		assert_false(census__read_garbage(w->c));
		put(w, list + 16, 1 << 30);
		assert_false(census__read_garbage(w->c));
		put(w, list + 16, 1 << 19); /* leads out of memory */
		assert_false(census__read_garbage(w->c));
		put(w, w->py.gc_garbage_addr, object);
		assert_false(census__read_garbage(w->c));
	}
}

static uint64_t random_word(const struct world *w)
{
	const uint64_t types[] = { w->py.types.type, w->py.types.list, w->py.types.dict, w->py.types.set, w->py.types.bytearray };
	uint64_t any = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 15 ^ rand();

	switch (rand() % 8) {
	case 0:
		return any;
	case 1:
		return rand() % 64;
	case 2:
		return 0;
	case 3:
		return UINT64_MAX - rand() % 8;
	case 4:
		return types[rand() % 5];
	default:
		return IMAGE_ADDR + any % IMAGE_WORDS * 8;
	}
}

static void memory_that_lies(void **state)
{
	struct world *w = *state;

	srand(5);
	FOR_ALL(w) {
		uint64_t first = w->next + 64, last = IMAGE_ADDR + sizeof(w->words) - OBJECT_BYTES, object, tag;

		for (int i = 0; i < ROUNDS; i++) {
			if (i % 16 == 0)
				for (uint64_t addr = w->next; addr < IMAGE_ADDR + sizeof(w->words); addr += 8)
					put(w, addr, random_word(w));
			object = first + (uint64_t)rand() % ((last - first) / 8) * 8;
			tag = heap_types__tag(&w->c->heap->types, rand() % 2 ? random_word(w) : w->py.types.dict);
			if (tag >= TAG_FIRST)
				census__count(w->c, &(struct census_object){ object, at(w, object), rand() % CENSUS_LOOK_BYTES, tag, rand(), rand() % 2, 0, false });
			if (rand() % 16 == 0) {
				w->py.gc_lists[rand() % 4] = object;
				w->py.gc_garbage_addr = object;
				assert_int_equal(census__follow_links(w->c), 0);
				census__read_garbage(w->c);
			}
		}
		census__flush_buffers(w->c);
		assert_int_equal(w->c->err, 0);
	}
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_objects_own, setup, teardown),
		cmocka_unit_test_setup_teardown(heads_that_are_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_tracked, setup, teardown),
		cmocka_unit_test_setup_teardown(links_are_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_lies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
