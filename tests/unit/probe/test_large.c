// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "large.h"

#define MIB (1 << 20)
#define S 1000000000ULL

static struct large weighed(int64_t gained, double sampled, double certain, double ghosts, double moved)
{
	struct large l = { 0 };

	large__begin(&l, gained);
	l.sampled = sampled;
	l.certain = certain;
	l.ghosts = ghosts;
	l.moved = moved;
	large__weigh(&l);
	return l;
}

/* Whatever the samples stand for, all that is told is never more than was taken, but for what libc may have had. */
static void no_more_than_was_taken(void **state)
{
	(void)state;
	for (int gained = 0; gained <= 64; gained += 8) {
		for (int sampled = 0; sampled <= 128; sampled += 32) {
			for (int ghosts = 0; ghosts <= 128; ghosts += 32) {
				struct large l = weighed((int64_t)gained * MIB, (double)sampled * MIB, 0, (double)ghosts * MIB, (double)ghosts * MIB);
				double told = l.sampled * l.factor + l.moved * l.moved_factor;

				assert_true(told <= (gained + 2.01) * MIB);
				assert_true(l.factor <= 1 && l.factor >= 0 && l.ghost_factor <= 1 && l.ghost_factor >= 0);
			}
		}
	}
}

static void what_is_certain_is_taken_off_first(void **state)
{
	struct large l = weighed(60LL * MIB, 100.0 * MIB, 42.0 * MIB, 0, 0);

	(void)state;
	assert_true(l.sampled * l.factor > 19.9 * MIB && l.sampled * l.factor < 20.1 * MIB);
}

/* A buffer that is gone has moved, and gone on growing, where memory says so. */
static void what_has_moved_has_grown(void **state)
{
	struct large l = weighed(40LL * MIB, 0, 0, 10.0 * MIB, 10.0 * MIB);

	(void)state;
	assert_true(l.ghost_factor == 1);
	assert_true(l.moved_factor > 3.9 && l.moved_factor < 4.1);
	l = weighed(4000LL * MIB, 0, 0, 10.0 * MIB, 10.0 * MIB);
	assert_true(l.moved_factor <= 8);
	l = weighed(5LL * MIB, 0, 0, 10.0 * MIB, 10.0 * MIB);
	assert_true(l.moved_factor == 0.5);
	l = weighed(5LL * MIB, 0, 0, 10.0 * MIB, 5.0 * MIB); /* nothing is left for them to have grown */
	assert_true(l.ghost_factor == 0.5 && l.moved_factor == 0.5);
}

static void it_rises_as_long_as_more_is_taken(void **state)
{
	struct large l = { 0 };

	(void)state;
	large__begin(&l, 3 * MIB);
	assert_false(large__rises(&l, 1 * S)); /* libc may have had it */
	large__begin(&l, 4 * MIB);
	assert_true(large__rises(&l, 2 * S));
	large__begin(&l, 4 * MIB + MIB / 2); /* not a whole MiB */
	assert_true(large__rises(&l, 62 * S));
	assert_false(large__rises(&l, 63 * S));
	large__begin(&l, 5 * MIB);
	assert_true(large__rises(&l, 64 * S));
}

static void most_of_it_is_explained(void **state)
{
	struct large l = weighed(40LL * MIB, 25.0 * MIB, 4.0 * MIB, 0, 0);

	(void)state;
	assert_false(large__is_explained(&l));
	assert_true(large__is_known(&l));
	l = weighed(40LL * MIB, 25.0 * MIB, 6.0 * MIB, 0, 0);
	assert_true(large__is_explained(&l));
	l = weighed(40LL * MIB, 9.0 * MIB, 0, 0, 0);
	assert_false(large__is_known(&l));
	l = weighed(40LL * MIB, 9.0 * MIB, 2.0 * MIB, 0, 0);
	assert_true(large__is_known(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_more_than_was_taken),	     cmocka_unit_test(what_is_certain_is_taken_off_first),
		cmocka_unit_test(what_has_moved_has_grown),	     cmocka_unit_test(it_rises_as_long_as_more_is_taken),
		cmocka_unit_test(most_of_it_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
