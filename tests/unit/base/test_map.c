// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "map.h"

#define KEYS 5000

static void put_get_del(void **state)
{
	struct map m;
	bool existed;
	uint64_t key = 7, *value;

	(void)state;
	map__init(&m, sizeof(key), sizeof(*value));
	assert_null(map__get(&m, &key));
	assert_false(map__del(&m, &key));
	value = map__put(&m, &key, &existed);
	assert_non_null(value);
	assert_false(existed);
	assert_int_equal(*value, 0);
	*value = 42;
	value = map__put(&m, &key, &existed);
	assert_true(existed);
	assert_int_equal(*value, 42);
	assert_true(map__del(&m, &key));
	assert_null(map__get(&m, &key));
	/* what was deleted comes back zeroed */
	value = map__put(&m, &key, &existed);
	assert_false(existed);
	assert_int_equal(*value, 0);
	map__free(&m);
	map__free(&m);
}

/* Against an array that says the same. */
static void many_random_steps(void **state)
{
	static int64_t want[KEYS]; /* -1: absent */
	uint64_t seed = 1;
	struct map m;
	size_t cnt = 0;

	(void)state;
	map__init(&m, 8, 8);
	memset(want, 0xff, sizeof(want));
	for (int step = 0; step < 200000; step++) {
		uint64_t key;
		int64_t *value;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		key = (seed >> 33) % KEYS;
		if ((seed >> 20) % 3) {
			value = map__put(&m, &key, NULL);
			cnt += want[key] < 0;
			want[key] = *value = step;
		} else {
			assert_int_equal(map__del(&m, &key), want[key] >= 0);
			cnt -= want[key] >= 0;
			want[key] = -1;
		}
		assert_int_equal(m.cnt, cnt);
	}
	for (uint64_t key = 0; key < KEYS; key++) {
		int64_t *value = map__get(&m, &key);

		if (want[key] < 0)
			assert_null(value);
		else
			assert_int_equal(*value, want[key]);
	}
	map__free(&m);
}

static void iterate_and_delete(void **state)
{
	struct map m;
	const void *key;
	void *value;
	uint64_t sum = 0, seen = 0;

	(void)state;
	map__init(&m, 4, 12);
	for (uint32_t i = 1; i <= 1000; i++)
		memcpy(map__put(&m, &i, NULL), &i, sizeof(i));
	for (size_t i = 0; map__next(&m, &i, &key, &value);) {
		uint32_t k;

		assert_memory_equal(key, value, 4);
		memcpy(&k, key, sizeof(k));
		sum += k;
		seen++;
		if (k % 2)
			assert_true(map__del(&m, key));
	}
	assert_int_equal(seen, 1000);
	assert_int_equal(sum, 500500);
	assert_int_equal(m.cnt, 500);
	map__free(&m);
}

/* Coming and going must not make the table grow: 8 live keys of a million. */
static void stays_small_under_churn(void **state)
{
	struct map m;

	(void)state;
	map__init(&m, 8, 8);
	for (uint64_t i = 0; i < 1000000; i++) {
		uint64_t old = i - 8;

		assert_non_null(map__put(&m, &i, NULL));
		if (i >= 8)
			assert_true(map__del(&m, &old));
	}
	assert_int_equal(m.cnt, 8);
	assert_true(m.capacity <= 64);
	map__free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_del),
		cmocka_unit_test(many_random_steps),
		cmocka_unit_test(iterate_and_delete),
		cmocka_unit_test(stays_small_under_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
