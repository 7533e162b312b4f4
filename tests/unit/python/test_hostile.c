// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory that lies: random words that mostly point into the same image, small counts, and half-right structures.
 * Nothing to assert but that all readers come back, within the sanitizers' rules.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "code.h"
#include "dict.h"
#include "layout.h"
#include "object.h"
#include "python.h"
#include "str.h"
#include "type.h"

enum { IMAGE_WORDS = 4096, ROUNDS = 3000 };
#define IMAGE_ADDR 0x7f0000000000UL

struct world {
	uint64_t words[IMAGE_WORDS];
	struct py_interp py;
};

static uint64_t random_word(void)
{
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
		return IMAGE_ADDR + any % sizeof(((struct world *)0)->words);
	default:
		return IMAGE_ADDR + any % IMAGE_WORDS * 8;
	}
}

static uint64_t random_addr(void)
{
	return IMAGE_ADDR + (uint64_t)(rand() % IMAGE_WORDS) * 8;
}

static void put(struct world *w, uint64_t addr, uint64_t value)
{
	uint64_t i = (addr - IMAGE_ADDR) / 8;

	if (i < IMAGE_WORDS)
		w->words[i] = value;
}

/* Enough of a type to get past the first checks. */
static void put_type(struct world *w, uint64_t addr)
{
	const struct py_layout *l = w->py.layout;

	put(w, addr + 8, rand() % 4 ? w->py.types.type : random_addr());
	put(w, addr + l->type_basicsize, rand() % 200 + 16);
	put(w, addr + l->type_itemsize, rand() % 3 * 8);
	put(w, addr + l->type_flags, random_word() | TYPE_READY);
	put(w, addr + l->type_name, random_addr());
	put(w, addr + l->type_base, rand() % 2 ? addr : random_addr());
}

static void make_world(struct world *w, int major, int minor)
{
	for (int i = 0; i < IMAGE_WORDS; i++)
		w->words[i] = random_word();
	w->py = (struct py_interp){ .major = major, .minor = minor, .layout = py_layout__find(major, minor) };
	w->py.gc_head_bytes = w->py.layout->gc_head;
	w->py.mem = remote__image(w->words, sizeof(w->words), IMAGE_ADDR);
	w->py.types = (struct py_types){
		.type = random_addr(), .code = random_addr(), .str = random_addr(), .dict = random_addr(),
		.list = random_addr(), .set = random_addr(), .frozenset = random_addr(), .bytearray = random_addr(),
	};
	w->py.set_dummy_addr = random_addr();
	w->py.gc_stats_addr = random_addr();
	put_type(w, w->py.types.type);
	put_type(w, w->py.types.str);
}

static void read_all(struct world *w)
{
	uint64_t addr = random_addr(), type = random_addr(), value;
	struct owned_buffer bufs[4];
	struct py_gc_stats stats;
	struct py_code code;
	uint32_t off;
	char out[300];

	put_type(w, type);
	put(w, addr + 8, rand() % 2 ? type : rand() % 2 ? w->py.types.str : w->py.types.code);
	py_str__read(&w->py, addr, out, 1 + rand() % sizeof(out));
	py_cstr__read(&w->py, addr, out, 1 + rand() % sizeof(out));
	py_dict__find(&w->py, addr, "__module__", &value);
	py_type__name(&w->py, type, out, 1 + rand() % sizeof(out), &value);
	py_type__stamp(&w->py, type, &value);
	py_block__object(&w->py, addr, rand() % 1000, NULL, 0, &value, &off);
	py_block__object(&w->py, addr, rand() % 1000, w->words, rand() % 64, &value, &off);
	py_block__use(&w->py, addr, rand() % 2 ? (uint64_t)rand() % 10000 : random_word());
	py_object__buffers(&w->py, addr, type, bufs, 1 + rand() % 4);
	py_interp__gc_stats(&w->py, &stats);
	if (!py_code__read(&w->py, addr, &code)) {
		py_code__line(&code, rand() % 100);
		py_code__free(&code);
	}
}

/* A keys object that is right in all but what is said here. */
static void half_right_dict(struct world *w)
{
	const struct py_layout *l = w->py.layout;
	uint64_t dict = random_addr(), keys = random_addr(), value;
	int log2 = rand() % 16;

	put(w, dict + l->dict_keys, keys);
	put(w, dict + l->dict_values, rand() % 2 ? 0 : random_word());
	put(w, keys, 1);
	put(w, keys + 8, l->keys_kind == NO_OFF ? 1UL << log2 : (uint64_t)(log2 | log2 << 8 | rand() % 4 << 16));
	put(w, keys + l->keys_usable, rand() % 4);
	put(w, keys + l->keys_nentries, rand() % 8 ? (uint64_t)rand() % 20000 : random_word());
	py_dict__find(&w->py, dict, "__module__", &value);
	py_block__use(&w->py, keys, rand() % 100000);
}

static void readers_come_back(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)state;
	assert_non_null(w);
	srand(7);
	for (int minor = 5; minor <= 14; minor++) {
		for (int i = 0; i < ROUNDS; i++) {
			if (i % 16 == 0)
				minor == 5 ? make_world(w, 2, 7) : make_world(w, 3, minor);
			read_all(w);
			half_right_dict(w);
		}
	}
	free(w);
}

static void a_block_too_small_for_a_header_is_no_object(void **state)
{
	struct py_interp py = { .major = 3, .minor = 11, .layout = py_layout__find(3, 11), .gc_head_bytes = 16 };
	uint64_t word = 1, type;
	uint32_t off;

	(void)state;
	py.mem = remote__image(&word, sizeof(word), IMAGE_ADDR);
	for (uint64_t size = 0; size <= 8; size++)
		assert_int_equal(py_block__object(&py, IMAGE_ADDR, size, NULL, 0, &type, &off), -ENOENT);
	assert_int_equal(py_block__object(&py, IMAGE_ADDR, 64, NULL, 0, &type, &off), -EFAULT);
	assert_int_equal(py_block__use(&py, IMAGE_ADDR, 64), USE_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_come_back),
		cmocka_unit_test(a_block_too_small_for_a_header_is_no_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
