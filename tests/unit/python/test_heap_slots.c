// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packed slots against an array of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap_slots.h"
#include "pool.h"

static struct slot random_slot(int different)
{
	if (rand() % 4 == 0)
		return (struct slot){ 0 };
	return (struct slot){ 1 + rand() % different * 257 % 65535, rand() % 4 ? 1 : rand() % 3 };
}

static void compare(struct heap_slots *s, const struct slot *expected)
{
	struct slot all[POOL_BLOCKS_MAX], *different, got;
	uint32_t cnts[POOL_BLOCKS_MAX] = { 0 }, cnt, sum = 0, live = 0;

	heap_slots__unpack(s, all);
	assert_memory_equal(all, expected, s->capacity * sizeof(all[0]));
	for (uint32_t i = 0; i < s->capacity; i++) {
		got = heap_slots__get(s, i);
		assert_memory_equal(&got, &expected[i], sizeof(got));
		live += expected[i].tag != 0;
	}
	different = heap_slots__all(s, &cnt);
	assert_true(cnt <= POOL_BLOCKS_MAX);
	heap_slots__cnt(s, cnts);
	for (uint32_t i = 0; i < cnt; i++)
		sum += different[i].tag ? cnts[i] : 0;
	assert_int_equal(sum, live);
}

static void packed_is_the_same(void **state)
{
	static const int different[] = { 1, 3, 60, 200, 400, 3, 2000, 1 };
	struct slot expected[POOL_BLOCKS_MAX];
	struct heap_slots s;

	(void)state;
	srand(5);
	for (uint32_t capacity = 7; capacity <= POOL_BLOCKS_MAX; capacity = capacity * 2 + 3) {
		heap_slots__init(&s, capacity);
		memset(expected, 0, sizeof(expected));
		compare(&s, expected);
		for (size_t round = 0; round < sizeof(different) / sizeof(different[0]); round++) {
			for (uint32_t i = 0; i < capacity; i++)
				expected[i] = random_slot(different[round]);
			assert_int_equal(heap_slots__pack(&s, expected), 0);
			compare(&s, expected);
			for (int i = 0; i < 300; i++) {
				uint32_t at = rand() % capacity;

				expected[at] = random_slot(different[round]);
				assert_int_equal(heap_slots__set(&s, at, expected[at]), 0);
			}
			compare(&s, expected);
		}
		heap_slots__free(&s);
	}
}

static void few_different_ones_take_a_byte_each(void **state)
{
	struct slot slots[1000];
	struct heap_slots s;

	(void)state;
	heap_slots__init(&s, 1000);
	for (int i = 0; i < 1000; i++)
		slots[i] = (struct slot){ 1 + i % 254, 1 };
	assert_int_equal(heap_slots__pack(&s, slots), 0);
	assert_true(s.room >= 254 && s.room <= 260);
	for (int i = 0; i < 1000; i++)
		slots[i].tag = 1 + i % 256;
	assert_int_equal(heap_slots__pack(&s, slots), 0);
	assert_int_equal(s.room, 0);
	for (int i = 0; i < 1000; i++)
		slots[i].tag = 7;
	assert_int_equal(heap_slots__pack(&s, slots), 0);
	assert_true(s.room && s.room <= 4);
	heap_slots__free(&s);
}

/* Which of them a block has is said in a byte, of which 0 is taken. */
static void one_more_than_a_byte_can_tell(void **state)
{
	struct slot slots[300];
	struct heap_slots s;

	(void)state;
	heap_slots__init(&s, 300);
	for (int i = 0; i < 300; i++)
		slots[i] = (struct slot){ 1 + i % 255, 1 };
	assert_int_equal(heap_slots__pack(&s, slots), 0);
	slots[7].tag = 1000;
	assert_int_equal(heap_slots__set(&s, 7, slots[7]), 0);
	compare(&s, slots);
	heap_slots__free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_is_the_same),
		cmocka_unit_test(few_different_ones_take_a_byte_each),
		cmocka_unit_test(one_more_than_a_byte_can_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
