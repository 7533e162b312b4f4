// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate_cycles.h"

static void nothing_is_known_at_first(void **state)
{
	struct gate_cycles c = { 0 };

	(void)state;
	assert_true(gate_cycles__weight(&c, 5) == 1);
	gate_cycles__free(&c);
}

static void where_nothing_was_recorded_nothing_is_covered(void **state)
{
	struct gate_cycles c = { 0 };

	(void)state;
	assert_false(gate_cycles__covers(&c, 5));
	assert_int_equal(gate_cycles__add(&c, 100, 0), 0);
	assert_int_equal(gate_cycles__add(&c, 200, 7), 0);
	assert_int_equal(gate_cycles__add(&c, 300, 0), 0);
	assert_false(gate_cycles__covers(&c, 100));
	assert_true(gate_cycles__covers(&c, 101));
	assert_true(gate_cycles__covers(&c, 200));
	assert_false(gate_cycles__covers(&c, 201));
	assert_false(gate_cycles__covers(&c, 301));
	assert_true(gate_cycles__weight(&c, 90) == 7);
	gate_cycles__free(&c);
}

static void what_was_recorded_has_the_weight_of_the_cycle_that_it_is_in(void **state)
{
	struct gate_cycles c = { 0 };

	(void)state;
	assert_int_equal(gate_cycles__add(&c, 100, 2), 0);
	assert_int_equal(gate_cycles__add(&c, 200, 7), 0);
	assert_true(gate_cycles__weight(&c, 1) == 2);
	assert_true(gate_cycles__weight(&c, 100) == 2);
	assert_true(gate_cycles__weight(&c, 101) == 7);
	assert_true(gate_cycles__weight(&c, 200) == 7);
	assert_true(gate_cycles__weight(&c, 201) == 7); /* the one that is going on: as the one before */
	gate_cycles__free(&c);
}

/* Where a burst recorded as much as a lookout does, what other bursts of its cycle saw is the same once more. */
static void a_burst_may_stand_for_a_cycle(void **state)
{
	struct gate_cycles c = { 0 };

	(void)state;
	assert_int_equal(gate_cycles__add(&c, 100, 9), 0);
	assert_int_equal(gate_cycles__add_burst(&c, 150, 200, 2), 0);
	assert_true(gate_cycles__covers(&c, 120));
	assert_true(gate_cycles__burst_weight(&c, 90) == 0);
	assert_true(gate_cycles__burst_weight(&c, 149) == 0);
	assert_true(gate_cycles__burst_weight(&c, 150) == 2);
	assert_true(gate_cycles__burst_weight(&c, 200) == 2);
	assert_true(gate_cycles__burst_weight(&c, 201) == 0);
	gate_cycles__free(&c);
}

static void there_is_an_end_to_what_is_remembered(void **state)
{
	struct gate_cycles c = { 0 };
	const uint64_t cnt = 200000;

	(void)state;
	for (uint64_t i = 1; i <= cnt; i++)
		assert_int_equal(gate_cycles__add(&c, i, i), 0);
	assert_true(c.capacity <= 65536);
	for (uint64_t i = cnt - 30000; i <= cnt; i++)
		assert_true(gate_cycles__weight(&c, i) == i);
	gate_cycles__free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(where_nothing_was_recorded_nothing_is_covered),
		cmocka_unit_test(what_was_recorded_has_the_weight_of_the_cycle_that_it_is_in),
		cmocka_unit_test(a_burst_may_stand_for_a_cycle),
		cmocka_unit_test(there_is_an_end_to_what_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
