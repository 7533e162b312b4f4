// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Chunks of glibc's malloc in made-up memory: right ones, wrong ones, and any bytes at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libc_heap.h"

enum { WORDS = 65536, SEEN_MAX = 4096, IN_USE = 1, MAPPED = 2, NON_MAIN = 4 };
#define BASE 0x7f0000000000UL /* a multiple of LIBC_ARENA_ALIGN */

struct world {
	uint64_t words[WORDS];
	struct remote mem;
	struct libc_walk walk;
	struct libc_chunk seen[SEEN_MAX];
	uint64_t first_words[SEEN_MAX];
	size_t seen_cnt;
	uint64_t seen_bytes; /* read of heads */
};

static void see(void *ctx, const struct libc_chunk *chunk)
{
	struct world *w = ctx;

	assert_true(chunk->head_bytes <= LIBC_HEAD_BYTES && chunk->head_bytes <= chunk->bytes && chunk->head_bytes >= 8);
	w->seen_bytes += ((const unsigned char *)chunk->head)[chunk->head_bytes - 1]; /* it is there */
	if (w->seen_cnt < SEEN_MAX) {
		w->seen[w->seen_cnt] = *chunk;
		memcpy(&w->first_words[w->seen_cnt], chunk->head, 8);
	}
	w->seen_cnt++;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->mem = remote__image(w->words, sizeof(w->words), BASE);
	*state = w;
	return libc_walk__init(&w->walk, &w->mem, see, w);
}

static int teardown(void **state)
{
	struct world *w = *state;

	libc_walk__free(&w->walk);
	free(w);
	return 0;
}

/* A chunk at OFF, behind one that is IN_USE or not; returns where the next one is. */
static uint64_t put(struct world *w, uint64_t off, uint64_t bytes, int flags)
{
	w->words[off / 8 + 1] = bytes | flags;
	if (off / 8 + 2 < WORDS)
		w->words[off / 8 + 2] = 0xabc000 + off;
	return off + bytes;
}

static void chunks_in_use_are_seen(void **state)
{
	struct world *w = *state;
	uint64_t at = 0, end = 64 << 10;

	at = put(w, at, 0x290, IN_USE);
	at = put(w, at, 0x30, IN_USE);       /* in use */
	at = put(w, at, 0x4000, IN_USE);     /* free, as the next one says */
	at = put(w, at, 0x20, 0);            /* in use */
	at = put(w, at, 0x8000, IN_USE);     /* in use, several pages */
	put(w, at, end - at, IN_USE);        /* the top */
	assert_true(libc_walk__is_main(&w->walk, BASE, BASE + end));
	assert_int_equal(libc_walk__run(&w->walk, BASE, BASE + end), 0);
	assert_int_equal(w->seen_cnt, 4);
	assert_int_equal(w->seen[1].addr, BASE + 0x290 + 16);
	assert_int_equal(w->seen[1].bytes, 0x28);
	assert_int_equal(w->seen[1].head_bytes, 0x28);
	assert_int_equal(w->first_words[1], 0xabc000 + 0x290);
	assert_int_equal(w->seen[2].bytes, 0x18);
	assert_int_equal(w->seen[3].bytes, 0x7ff8);
	assert_int_equal(w->seen[3].head_bytes, LIBC_HEAD_BYTES);
	assert_int_equal(w->walk.used_bytes, 0x290 + 0x30 + 0x20 + 0x8000);
	assert_int_equal(w->walk.used_bytes + w->walk.free_bytes, end);
	assert_int_equal(w->walk.lost_bytes, 0);
	assert_int_equal(w->walk.retried, 0);
}

static void many_small_chunks(void **state)
{
	struct world *w = *state;
	uint64_t at = 0, end = sizeof(w->words);

	while (at + 32 < end)
		at = put(w, at, 32, IN_USE);
	put(w, at, end - at, IN_USE);
	assert_int_equal(libc_walk__run(&w->walk, BASE, BASE + end), 0);
	assert_int_equal(w->seen_cnt, end / 32 - 1);
	assert_int_equal(w->walk.lost_bytes, 0);
}

static void a_broken_chunk_ends_the_walk(void **state)
{
	static const uint64_t bad[] = { 0, 1, 16 | IN_USE, 24 | IN_USE, 0x38 | IN_USE, 0x40 | MAPPED | IN_USE, ~0ULL, 1ULL << 63 | IN_USE, 0x20000 | IN_USE };
	struct world *w = *state;
	uint64_t at, end = 64 << 10;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(w->words, 0, sizeof(w->words));
		w->seen_cnt = 0;
		w->walk.lost_bytes = 0;
		at = put(w, 0, 0x290, IN_USE);
		at = put(w, at, 0x50, IN_USE);
		w->words[at / 8 + 1] = bad[i];
		assert_int_equal(libc_walk__run(&w->walk, BASE, BASE + end), 0);
		assert_in_range(w->seen_cnt, 1, 2);
		assert_in_range(w->walk.lost_bytes, 1, end);
		assert_false(libc_walk__is_main(&w->walk, BASE, BASE + end));
	}
	assert_true(w->walk.retried > 0);
}

static void a_top_that_has_grown_since(void **state)
{
	struct world *w = *state;
	uint64_t at = put(w, 0, 0x290, IN_USE), end = 16 << 10;

	put(w, at, (1 << 20) - at, IN_USE);
	assert_int_equal(libc_walk__run(&w->walk, BASE, BASE + end), 0);
	assert_int_equal(w->seen_cnt, 1);
	assert_int_equal(w->walk.free_bytes, end - at);
	assert_int_equal(w->walk.lost_bytes, 0);
}

/* Words of struct _heap_info; AT is where chunks begin. */
static void make_arena(struct world *w, uint64_t arena, uint64_t size, uint64_t at)
{
	w->words[0] = arena;
	w->words[1] = 0;
	w->words[2] = size;
	w->words[3] = size;
	at = put(w, at, 0x290, IN_USE | NON_MAIN);
	at = put(w, at, 0x410, IN_USE | NON_MAIN);
	put(w, at, size - at, IN_USE);
}

static void arenas_of_threads(void **state)
{
	const uint64_t size = 128 << 10, limit = BASE + sizeof(((struct world *)0)->words);
	struct world *w = *state;
	uint64_t start, end;

	make_arena(w, BASE + 48, size, 0x8d0);
	assert_true(libc_walk__is_arena(&w->walk, BASE, limit, &start, &end));
	assert_int_equal(start, BASE + 0x8d0);
	assert_int_equal(end, BASE + size);
	assert_int_equal(libc_walk__run(&w->walk, start, end), 0);
	assert_int_equal(w->seen_cnt, 2);
	/* a second heap of another arena */
	memset(w->words, 0, sizeof(w->words));
	make_arena(w, 0x7e0000000030, size, 0x30);
	assert_true(libc_walk__is_arena(&w->walk, BASE, limit, &start, &end));
	assert_int_equal(start, BASE + 0x30);
	/* not where one can begin, or larger than its mapping */
	assert_false(libc_walk__is_arena(&w->walk, BASE + 4096, limit, &start, &end));
	assert_false(libc_walk__is_arena(&w->walk, BASE, BASE + size - 4096, &start, &end));
	w->words[2] = ~0ULL;
	assert_false(libc_walk__is_arena(&w->walk, BASE, limit, &start, &end));
}

static void mappings_of_their_own(void **state)
{
	const uint64_t end = BASE + sizeof(((struct world *)0)->words);
	struct world *w = *state;
	uint64_t next;

	put(w, 4096, 3 * 4096, MAPPED);
	put(w, 4 * 4096, 2 * 4096, MAPPED);
	put(w, 8 * 4096, 1 << 30, MAPPED);         /* does not fit */
	put(w, 9 * 4096, 4096 + 16, MAPPED);       /* no pages */
	put(w, 10 * 4096, 2 * 4096, MAPPED);
	w->words[10 * 512] = 1;                    /* something is in front of it */
	put(w, 2 * 4096, 4096, MAPPED);            /* inside of another */
	assert_int_equal(libc_walk__mapped(&w->walk, BASE, end, end, &next), 0);
	assert_int_equal(next, end);
	assert_int_equal(w->seen_cnt, 2);
	assert_int_equal(w->seen[0].addr, BASE + 4096 + 16);
	assert_int_equal(w->seen[0].bytes, 3 * 4096 - 16);
	assert_true(w->seen[0].mapped);
	assert_int_equal(w->seen[1].addr, BASE + 4 * 4096 + 16);
	/* as 2.43 has it: less its header */
	put(w, 12 * 4096, 2 * 4096 - 16, MAPPED);
	assert_int_equal(libc_walk__mapped(&w->walk, BASE + 12 * 4096, end, end, &next), 0);
	assert_int_equal(w->seen_cnt, 3);
	assert_int_equal(w->seen[2].bytes, 2 * 4096 - 16);
	/* one that ends behind what is looked at */
	assert_int_equal(libc_walk__mapped(&w->walk, BASE, BASE + 2 * 4096, end, &next), 0);
	assert_int_equal(next, BASE + 4 * 4096);
	/* what cannot be read is none */
	assert_int_equal(libc_walk__mapped(&w->walk, end, end + (1 << 20), end + (1 << 20), &next), 0);
}

static uint64_t random_word(void)
{
	uint64_t any = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 15 ^ rand();

	switch (rand() % 6) {
	case 0:
		return any;
	case 1:
		return 0;
	case 2:
		return BASE + any % (WORDS * 8);
	default:
		return any % 256 * 16 + rand() % 8;
	}
}

static void any_bytes_at_all(void **state)
{
	struct world *w = *state;
	uint64_t start, end, next;

	srand(11);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < WORDS / 16; i++)
			w->words[i] = random_word();
		if (round % 2)
			make_arena(w, BASE + 48, (rand() % 32 + 1) * 4096, 0x890 + rand() % 8 * 16);
		end = BASE + (rand() % 160 + 1) * 4096; /* up to behind its end */
		w->walk.used_bytes = w->walk.free_bytes = w->walk.lost_bytes = 0;
		libc_walk__is_main(&w->walk, BASE + rand() % 64 * 8, end);
		assert_int_equal(libc_walk__run(&w->walk, BASE, end), 0);
		assert_true(w->walk.used_bytes + w->walk.free_bytes + w->walk.lost_bytes <= end - BASE);
		assert_int_equal(libc_walk__mapped(&w->walk, BASE, end, end, &next), 0);
		assert_true(next >= end);
		if (libc_walk__is_arena(&w->walk, BASE, end, &start, &end))
			assert_int_equal(libc_walk__run(&w->walk, start, end), 0);
	}
}

/* By the size that was asked for: libc's own is a little larger, and of a mapping that has grown in place much. */
static void a_block_that_is_asked_for(void **state)
{
	struct world *w = *state;
	static const uint64_t others[] = { 100, 900, 1001, 4096 }; /* far smaller than the chunk, or larger */
	const uint64_t chunk = 0x1000;
	uint64_t size = 1000;

	put(w, chunk, 0x3f0, IN_USE);
	put(w, chunk + 0x3f0, 0x40, IN_USE);
	assert_true(libc_block__is_used(&w->mem, BASE + chunk + 16, &size));
	assert_int_equal(size, 1000);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size = others[i];
		assert_false(libc_block__is_used(&w->mem, BASE + chunk + 16, &size));
	}
	put(w, chunk + 0x3f0, 0x40, 0); /* was freed */
	size = 1000;
	assert_false(libc_block__is_used(&w->mem, BASE + chunk + 16, &size));

	put(w, 0x2000, 0x6000, MAPPED);
	size = 0x5000;
	assert_true(libc_block__is_used(&w->mem, BASE + 0x2000 + 16, &size));
	assert_int_equal(size, 0x5000);
	size = 0x1000;
	assert_true(libc_block__is_used(&w->mem, BASE + 0x2000 + 16, &size));
	assert_int_equal(size, 0x6000 - 16);
	size = 0x6000;
	assert_false(libc_block__is_used(&w->mem, BASE + 0x2000 + 16, &size));
	size = 1000; /* nothing is there to be read */
	assert_false(libc_block__is_used(&w->mem, 8, &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(chunks_in_use_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(many_small_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_chunk_ends_the_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(a_top_that_has_grown_since, setup, teardown),
		cmocka_unit_test_setup_teardown(arenas_of_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(mappings_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_that_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(any_bytes_at_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
