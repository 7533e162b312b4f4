// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pools made by the allocator's own rules, then spoilt. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pool.h"

#define ADDR 0x7f0000400000UL

struct header {
	uint32_t count, padding;
	uint64_t freeblock, nextpool, prevpool;
	uint32_t arenaindex, szidx, nextoffset, maxnextoffset;
};

/* The image has no byte more than a pool: what reads beyond it is found by the sanitizer. */
struct made {
	unsigned char *bytes;
	struct header *h;
	uint32_t pool_bytes, block_bytes;
	bool live[POOL_BLOCKS_MAX];
};

static void set_link(struct made *m, uint64_t block, uint64_t link)
{
	memcpy(m->bytes + (block - ADDR), &link, sizeof(link));
}

static uint64_t get_link(const struct made *m, uint64_t block)
{
	uint64_t link;

	memcpy(&link, m->bytes + (block - ADDR), sizeof(link));
	return link;
}

static uint32_t index_of(const struct made *m, uint64_t block)
{
	return (block - ADDR - POOL_HEADER_BYTES) / m->block_bytes;
}

/* allocate_from_new_pool() and pymalloc_alloc() */
static void allocate(struct made *m)
{
	struct header *h = m->h;
	uint64_t block = h->freeblock;

	assert_int_not_equal(block, 0);
	h->count++;
	m->live[index_of(m, block)] = true;
	h->freeblock = get_link(m, block);
	memset(m->bytes + (block - ADDR), 0x5a, m->block_bytes);
	if (h->freeblock || h->nextoffset > h->maxnextoffset)
		return;
	h->freeblock = ADDR + h->nextoffset;
	h->nextoffset += m->block_bytes;
	set_link(m, h->freeblock, 0);
}

static void release(struct made *m, uint32_t i)
{
	uint64_t block = ADDR + POOL_HEADER_BYTES + i * m->block_bytes;

	set_link(m, block, m->h->freeblock);
	m->h->freeblock = block;
	m->h->count--;
	m->live[i] = false;
}

static struct made *make(uint32_t pool_bytes, uint32_t block_bytes, uint32_t alignment)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->bytes = calloc(1, pool_bytes);
	assert_non_null(m->bytes);
	m->h = (struct header *)m->bytes;
	m->pool_bytes = pool_bytes;
	m->block_bytes = block_bytes;
	*m->h = (struct header){
		.nextpool = ADDR - pool_bytes, .prevpool = 0x55550000, .szidx = block_bytes / alignment - 1,
		.freeblock = ADDR + POOL_HEADER_BYTES, .maxnextoffset = pool_bytes - block_bytes,
		.nextoffset = POOL_HEADER_BYTES + 2 * block_bytes,
	};
	set_link(m, ADDR + POOL_HEADER_BYTES, ADDR + POOL_HEADER_BYTES + block_bytes);
	return m;
}

static void unmake(struct made *m)
{
	free(m->bytes);
	free(m);
}

static void compare(const struct made *m)
{
	uint64_t free_bits[POOL_BLOCKS_MAX / 64];
	uint32_t live = 0;
	struct pool p;
	int cnt;

	assert_true(pool__decode(m->bytes, ADDR, m->pool_bytes, &p));
	assert_int_equal(p.block_bytes, m->block_bytes);
	assert_int_equal(p.live, m->h->count);
	cnt = pool__free_blocks(m->bytes, ADDR, &p, free_bits);
	assert_int_equal(cnt, p.carved - p.live);
	for (uint32_t i = 0; i < p.carved; i++) {
		assert_int_equal(!pool__is_free(free_bits, i), m->live[i]);
		live += m->live[i];
	}
	assert_int_equal(live, p.live);
}

static void what_the_allocator_does_is_read(void **state)
{
	(void)state;
	srand(1);
	for (uint32_t pool_bytes = POOL_SMALL_BYTES; pool_bytes <= POOL_LARGE_BYTES; pool_bytes *= 4) {
		for (uint32_t size = 8; size <= POOL_BLOCK_MAX_BYTES; size += 8) {
			struct made *m = make(pool_bytes, size, size % 16 ? 8 : 16);
			uint32_t capacity = (pool_bytes - POOL_HEADER_BYTES) / size;

			allocate(m);
			compare(m);
			for (uint32_t i = 0; i < 3 * capacity; i++) {
				uint32_t victim = rand() % capacity;

				if (rand() % 3 && m->h->freeblock)
					allocate(m);
				else if (m->live[victim] && m->h->count > 1)
					release(m, victim);
				if (i % 16 == 0)
					compare(m);
			}
			while (m->h->freeblock)
				allocate(m);
			assert_int_equal(m->h->count, capacity);
			compare(m);
			unmake(m);
		}
	}
}

static void a_pool_without_live_blocks_is_empty(void **state)
{
	struct made *m = make(POOL_SMALL_BYTES, 64, 16);
	struct pool p;

	(void)state;
	assert_true(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
	assert_int_equal(p.live, 0);
	m->h->nextpool = 0;
	assert_true(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
	m->h->count = 1;
	assert_false(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
	unmake(m);
}

static void never_used_memory_is_no_pool(void **state)
{
	unsigned char header[POOL_HEADER_BYTES] = { 0 };
	struct pool p;

	(void)state;
	assert_false(pool__decode(header, ADDR, POOL_SMALL_BYTES, &p));
	assert_false(pool__decode(header, ADDR, POOL_LARGE_BYTES, &p));
	memset(header, 0xff, sizeof(header));
	assert_false(pool__decode(header, ADDR, POOL_SMALL_BYTES, &p));
}

static void a_pool_proves_its_own_size_only(void **state)
{
	struct made *small = make(POOL_SMALL_BYTES, 64, 16), *large = make(POOL_LARGE_BYTES, 64, 16);
	struct pool p;

	(void)state;
	allocate(small);
	allocate(large);
	assert_true(pool__decode(small->bytes, ADDR, POOL_SMALL_BYTES, &p));
	assert_false(pool__decode(small->bytes, ADDR, POOL_LARGE_BYTES, &p));
	assert_true(pool__decode(large->bytes, ADDR, POOL_LARGE_BYTES, &p));
	assert_false(pool__decode(large->bytes, ADDR, POOL_SMALL_BYTES, &p));
	unmake(small);
	unmake(large);
}

static void a_copy_of_a_pool_elsewhere_is_no_pool(void **state)
{
	struct made *m = make(POOL_SMALL_BYTES, 64, 16);
	struct pool p;

	(void)state;
	allocate(m);
	assert_false(pool__decode(m->bytes, ADDR + POOL_SMALL_BYTES, POOL_SMALL_BYTES, &p));
	unmake(m);
}

static void each_field_is_checked(void **state)
{
	static const struct {
		size_t off, size;
		uint64_t value;
	} wrong[] = {
		{ offsetof(struct header, count), 4, 4 },
		{ offsetof(struct header, count), 4, UINT32_MAX },
		{ offsetof(struct header, freeblock), 8, ADDR },
		{ offsetof(struct header, freeblock), 8, ADDR + POOL_HEADER_BYTES - 64 },
		{ offsetof(struct header, freeblock), 8, ADDR + POOL_HEADER_BYTES + 8 },
		{ offsetof(struct header, freeblock), 8, ADDR + POOL_HEADER_BYTES + 4 * 64 },
		{ offsetof(struct header, freeblock), 8, UINT64_MAX },
		{ offsetof(struct header, nextpool), 8, 0 },
		{ offsetof(struct header, nextpool), 8, ADDR + 4 },
		{ offsetof(struct header, nextpool), 8, 1UL << 47 },
		{ offsetof(struct header, prevpool), 8, 0 },
		{ offsetof(struct header, arenaindex), 4, UINT32_MAX },
		{ offsetof(struct header, szidx), 4, 64 },
		{ offsetof(struct header, szidx), 4, 4 },
		{ offsetof(struct header, szidx), 4, UINT32_MAX },
		{ offsetof(struct header, nextoffset), 4, 0 },
		{ offsetof(struct header, nextoffset), 4, POOL_HEADER_BYTES + 64 },
		{ offsetof(struct header, nextoffset), 4, POOL_HEADER_BYTES + 3 * 64 + 8 },
		{ offsetof(struct header, nextoffset), 4, POOL_SMALL_BYTES + POOL_HEADER_BYTES },
		{ offsetof(struct header, nextoffset), 4, UINT32_MAX },
		{ offsetof(struct header, maxnextoffset), 4, POOL_SMALL_BYTES },
		{ offsetof(struct header, maxnextoffset), 4, POOL_SMALL_BYTES - 48 },
		{ offsetof(struct header, maxnextoffset), 4, POOL_SMALL_BYTES - 513 },
		{ offsetof(struct header, maxnextoffset), 4, UINT32_MAX },
	};
	struct made *m = make(POOL_SMALL_BYTES, 64, 16);
	struct header right;
	struct pool p;

	(void)state;
	allocate(m);
	allocate(m);
	right = *m->h;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		*m->h = right;
		assert_true(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
		memcpy(m->bytes + wrong[i].off, &wrong[i].value, wrong[i].size);
		if (pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p))
			fail_msg("value %lx at %zu was taken", wrong[i].value, wrong[i].off);
	}
	unmake(m);
}

static void between_two_stores_it_is_still_a_pool(void **state)
{
	struct made *m = make(POOL_SMALL_BYTES, 64, 16);
	uint64_t free_bits[POOL_BLOCKS_MAX / 64];
	struct pool p;

	(void)state;
	allocate(m);
	allocate(m);
	/* pymalloc_pool_extend(): .freeblock is set, .nextoffset not yet */
	m->h->nextoffset -= 64;
	assert_true(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
	assert_int_equal(pool__free_blocks(m->bytes, ADDR, &p, free_bits), -EFAULT);
	unmake(m);
}

static void lists_that_lead_nowhere_end(void **state)
{
	static const uint64_t links[] = {
		ADDR + POOL_HEADER_BYTES + 64, /* itself */
		ADDR + POOL_HEADER_BYTES + 3 * 64, /* the one before it */
		ADDR, ADDR + 8, ADDR + POOL_SMALL_BYTES, ADDR + POOL_HEADER_BYTES + 63, ADDR + POOL_HEADER_BYTES + 40 * 64, 1, UINT64_MAX,
	};
	struct made *m = make(POOL_SMALL_BYTES, 64, 16);
	uint64_t free_bits[POOL_BLOCKS_MAX / 64];
	struct pool p;

	(void)state;
	for (int i = 0; i < 6; i++)
		allocate(m);
	release(m, 1);
	release(m, 3);
	compare(m);
	assert_true(pool__decode(m->bytes, ADDR, POOL_SMALL_BYTES, &p));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		set_link(m, ADDR + POOL_HEADER_BYTES + 64, links[i]);
		assert_int_equal(pool__free_blocks(m->bytes, ADDR, &p, free_bits), -EFAULT);
		assert_true(pool__is_free(free_bits, 3));
		assert_true(pool__is_free(free_bits, 1));
		assert_false(pool__is_free(free_bits, 0));
	}
	unmake(m);
}

/* Nothing to assert of what is in it, but that it ends, stays inside the image and keeps its own promises. */
static void spoilt_pools_are_survived(void **state)
{
	uint64_t free_bits[POOL_BLOCKS_MAX / 64];
	unsigned long taken = 0, walked = 0;
	struct pool p;

	(void)state;
	srand(7);
	for (int round = 0; round < 200000; round++) {
		uint32_t pool_bytes = rand() % 2 ? POOL_SMALL_BYTES : POOL_LARGE_BYTES, alignment = rand() % 2 ? 8 : 16;
		struct made *m = make(pool_bytes, alignment * (1 + rand() % (POOL_BLOCK_MAX_BYTES / alignment)), alignment);
		int spoils = rand() % 4;

		for (int i = rand() % 40; i >= 0 && m->h->freeblock; i--)
			allocate(m);
		for (int i = rand() % 20; i >= 0; i--)
			if (m->live[i])
				release(m, i);
		for (int i = 0; i < spoils; i++) {
			uint64_t value = rand() % 2 ? ADDR + rand() % pool_bytes : (uint64_t)rand() << rand() % 48;
			uint32_t words = rand() % 3 ? POOL_HEADER_BYTES / 8 : pool_bytes / 8;

			memcpy(m->bytes + rand() % words * 8, &value, rand() % 2 ? 4 : 8);
		}
		if (pool__decode(m->bytes, ADDR, pool_bytes, &p)) {
			int cnt = pool__free_blocks(m->bytes, ADDR, &p, free_bits);

			taken++;
			walked += cnt > 0;
			assert_true(p.live <= p.carved && p.carved <= p.capacity && p.capacity < POOL_BLOCKS_MAX);
			assert_true(pool__carved_end(&p) <= pool_bytes);
			assert_true(cnt <= (int)p.carved);
			assert_true(spoils || cnt == (int)(p.carved - p.live));
		}
		unmake(m);
	}
	assert_true(taken > 1000 && walked > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_allocator_does_is_read),
		cmocka_unit_test(a_pool_without_live_blocks_is_empty),
		cmocka_unit_test(never_used_memory_is_no_pool),
		cmocka_unit_test(a_pool_proves_its_own_size_only),
		cmocka_unit_test(a_copy_of_a_pool_elsewhere_is_no_pool),
		cmocka_unit_test(each_field_is_checked),
		cmocka_unit_test(between_two_stores_it_is_still_a_pool),
		cmocka_unit_test(lists_that_lead_nowhere_end),
		cmocka_unit_test(spoilt_pools_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
