// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "work.h"

#define MS 1e6

/* A program, and how it is met: bursts of so many allocations, so much time between them. */
struct program {
	double piece_ns, piece_allocs; /* its pieces of work; 0: it never waits */
	double alloc_ns;               /* what an allocation and what belongs to it take */
};

/* Charged: 10 us for each allocation. It takes TIMES that. Returns what is thought to be its own work in the last of CNT bursts, by what it really is. */
static double ratio_of(const struct program *p, double burst_allocs, double times, size_t cnt)
{
	struct work w = { .hit_ns = 5000 };
	double own = 0, truth = 1;

	for (size_t i = 0; i < cnt; i++) {
		double allocs = burst_allocs * (0.7 + 0.6 * rand() / RAND_MAX), pieces = p->piece_allocs ? allocs / p->piece_allocs : 0;

		truth = pieces ? pieces * p->piece_ns : allocs * p->alloc_ns;
		own = work__own_ns(&w, &(struct work_burst){
			.cpu_ns = truth + times * allocs * 10000,
			.cost_ns = allocs * 10000,
			.allocs = allocs,
			.mostly_waits = pieces > 0,
			.waits = (size_t)pieces,
			.unseen_ns = i ? 40 * (p->piece_ns ?: 1 * MS) : 0,
			.unseen_waits = i ? 40 : 0,
		});
		work__tail(&w, allocs * (p->alloc_ns ?: 100), allocs);
	}
	return own / truth;
}

/* Of a loop that does nothing else what one allocation takes must be guessed where a hit takes a hundred times as long. */
static void one_that_is_at_work_is_told_by_its_allocations(void **state)
{
	const struct program churn = { .alloc_ns = 60 }, mixed = { .alloc_ns = 150 }, slow = { .alloc_ns = 8000 };

	(void)state;
	for (double times = 1; times <= 3; times++) {
		double ratio = ratio_of(&churn, 300, times, 20);

		assert_true(ratio >= 0.5 && ratio <= 2);
		ratio = ratio_of(&mixed, 300, times, 20);
		assert_true(ratio >= 0.5 && ratio <= 2);
		ratio = ratio_of(&slow, 300, times, 20);
		assert_true(ratio >= 0.5 && ratio <= 2);
	}
}

/* That waking up takes longer than all of its allocations is seen by bursts of several pieces; from the second burst on. */
static void one_that_waits_is_told_by_its_pieces(void **state)
{
	const struct program heart = { .piece_ns = 0.7 * MS, .piece_allocs = 40 };

	(void)state;
	for (double times = 1; times <= 3; times++)
		for (size_t cnt = 2; cnt < 20; cnt++) {
			double ratio = ratio_of(&heart, 150, times, cnt);

			assert_true(ratio > 0.5 && ratio < 2);
		}
}

/* Nor is the first burst that can be weighed given a weight that is much too large, if it is too short to see a piece. */
static void a_short_first_burst_spoils_nothing(void **state)
{
	const struct program heart = { .piece_ns = 0.7 * MS, .piece_allocs = 40 };

	(void)state;
	assert_true(ratio_of(&heart, 45, 1, 2) > 0.5);
	assert_true(ratio_of(&heart, 30, 1, 2) > 0.5);
}

/* Bursts that end within one piece: what they saw is not a piece. */
static void long_pieces_are_told_by_allocations(void **state)
{
	const struct program needle = { .piece_ns = 0.5 * MS, .piece_allocs = 5000 };
	double ratio = ratio_of(&needle, 200, 1, 20);

	(void)state;
	assert_true(ratio >= 0.5 && ratio <= 2);
}

/* What is much more than tracing can have taken is its own. */
static void a_clear_difference_is_believed(void **state)
{
	struct work w = { .hit_ns = 500 };
	struct work_burst b = { .cpu_ns = 50 * MS, .cost_ns = 5 * MS, .allocs = 100 };

	(void)state;
	assert_true(work__own_ns(&w, &b) == 45 * MS);
	/* and it bounds what pieces are thought to take */
	b = (struct work_burst){ .cpu_ns = 1 * MS, .cost_ns = 1 * MS, .allocs = 100, .mostly_waits = true, .waits = 3, .unseen_ns = 1000 * MS, .unseen_waits = 10 };
	assert_true(work__own_ns(&w, &b) < 10 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_at_work_is_told_by_its_allocations), cmocka_unit_test(one_that_waits_is_told_by_its_pieces),
		cmocka_unit_test(a_short_first_burst_spoils_nothing),		  cmocka_unit_test(long_pieces_are_told_by_allocations),
		cmocka_unit_test(a_clear_difference_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
