// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spending.h"

#define MS 1e6
#define S 1e9
#define EARLY (0.4 * MS) /* hits while probes are placed */

static struct spending of(double budget)
{
	return (struct spending){ .budget = budget, .max_pause_ns = 10 * MS, .place_ns = 50000, .hit_ns = 5000, .busy = 1 };
}

/* One opening after the other, each spending all that it may; what was charged by time. PASSED: how long, OPENINGS: how many. */
static double spend(struct spending *s, double passed, double late, size_t *openings)
{
	double charged = 0, now = 0;

	for (*openings = 0; now < passed; ++*openings) {
		double cost, wait;

		spending__begin(s);
		spending__place(s, 20, s->busy);
		s->early_ns = EARLY;
		cost = EARLY + spending__burst_ns(s, EARLY) + spending__tail_ns(s);
		assert_true(s->placing_ns + cost + late <= s->max_pause_ns);
		spending__end(s, cost);
		spending__late(s, late);
		charged += s->placing_ns + cost + late;
		for (wait = spending__wait_ns(s); wait > 0; wait = spending__wait_ns(s)) {
			wait = wait < 20 * MS ? 20 * MS : wait;
			spending__earn(s, wait, 0);
			now += wait;
		}
	}
	return charged / now;
}

static void it_stays_within_the_budget_and_uses_it(void **state)
{
	const double budgets[] = { 0.001, 0.005, 0.01, 0.05, 0.2 }, lates[] = { 0, 0.5 * MS, 2 * MS };
	size_t openings;

	(void)state;
	for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++)
		for (size_t k = 0; k < sizeof(lates) / sizeof(lates[0]); k++) {
			struct spending s = of(budgets[i]);
			double share = spend(&s, 3600 * S, lates[k], &openings) / budgets[i];

			assert_true(openings > 100);
			assert_true(share <= 0.86);
			assert_true(share >= 0.7);
		}
}

static void what_placing_costs_is_paid(void **state)
{
	struct spending cheap = of(0.01), dear = of(0.01);
	size_t few, many;

	(void)state;
	cheap.place_ns = 1000;
	dear.place_ns = 200000;
	spend(&cheap, 3600 * S, 0, &many);
	spend(&dear, 3600 * S, 0, &few);
	assert_true(dear.placed_ns / 3600 / S < 0.01);
	assert_true(cheap.placed_ns * 50 < dear.placed_ns);
	/* one that does not run loses nothing by it */
	dear = of(0.01);
	dear.busy = 0;
	spend(&dear, 3600 * S, 0, &many);
	assert_true(dear.placed_ns == 0);
}

static void the_first_one_is_on_credit(void **state)
{
	struct spending s = of(0.01);

	(void)state;
	spending__begin(&s);
	spending__place(&s, 80, 1);
	assert_true(spending__burst_ns(&s, 0) > 0);
	spending__end(&s, spending__stretch_ns(&s));
	assert_true(spending__wait_ns(&s) > 0);
	spending__begin(&s);
	spending__place(&s, 80, 1);
	assert_true(spending__burst_ns(&s, 0) == 0);
}

static void what_was_spent_before_is_paid_after_the_first(void **state)
{
	struct spending plain = of(0.01), owing = of(0.01);
	double placing;

	(void)state;
	placing = spending__owe(&owing, 60, 1, 2 * MS);
	assert_true(placing > 2.9 * MS && placing < 3.1 * MS);
	spending__begin(&plain);
	spending__begin(&owing);
	assert_true(spending__burst_ns(&owing, 0) == spending__burst_ns(&plain, 0));
	spending__end(&plain, 5 * MS);
	spending__end(&owing, 5 * MS);
	assert_true(spending__wait_ns(&owing) > spending__wait_ns(&plain) + 5 * MS / 0.01);
	assert_true(owing.placed_ns - plain.placed_ns == placing);
	spending__end(&plain, MS);
	spending__end(&owing, MS);
	assert_true(plain.bank_ns - owing.bank_ns < 5.1 * MS);
}

static void an_overdraft_is_paid_back(void **state)
{
	struct spending s = of(0.01);
	double wait;

	(void)state;
	spending__begin(&s);
	spending__place(&s, 20, 1);
	spending__end(&s, 5 * MS);
	wait = spending__wait_ns(&s);
	spending__late(&s, 5 * MS);
	assert_true(spending__wait_ns(&s) > wait + 5 * MS / 0.01);
	/* and the next opening expects as much */
	assert_true(spending__stretch_ns(&s) < 3 * MS);
}

static void no_more_is_saved_than_two_openings(void **state)
{
	struct spending s = of(0.01);

	(void)state;
	spending__begin(&s);
	spending__place(&s, 20, 1);
	spending__earn(&s, 1000 * S, 0);
	assert_true(s.bank_ns <= 2 * spending__opening_ns(&s));
	assert_true(s.bank_ns >= spending__opening_ns(&s));
}

/*
 * 1000 and 500 requests a second: three openings for each ten thousand of them (a tenth of what each may cost is not spent here, so there are a tenth
 * more). Five a second cannot be kept from it, nor is that tried with a large budget.
 */
static void a_service_keeps_its_99th_percentile(void **state)
{
	const struct {
		double budget, pieces;
		bool kept;
	} cases[] = { { 0.01, 1000, true }, { 0.01, 500, true }, { 0.01, 5, false }, { 0.05, 500, false }, { 0.01, 5000, true } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spending s = of(cases[i].budget);
		double share;
		size_t openings;

		s.pieces_per_ns = cases[i].pieces / S;
		s.busy = 0.3;
		share = spend(&s, 3600 * S, 0, &openings) / cases[i].budget;
		if (cases[i].kept)
			assert_true(openings <= cases[i].pieces * 3600 * 0.00036);
		else
			assert_true(share > 0.8);
	}
}

/* What is slowed at the slowest pace is more than one piece in a hundred. */
static void what_cannot_be_kept_is_not_tried(void **state)
{
	const struct {
		double pieces, slowed;
		bool kept;
	} cases[] = { { 100, 2, true }, { 100, 50, false }, { 1000, 20, true }, { 1000, 50, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spending s = of(0.01);
		size_t openings;

		s.pieces_per_ns = cases[i].pieces / S;
		s.busy = 0.1;
		spending__slowed(&s, cases[i].slowed);
		spend(&s, 3600 * S, 0, &openings);
		assert_true((openings < 3600 / 2) == cases[i].kept);
	}
}

static void one_asked_less_often_is_looked_at_first(void **state)
{
	struct spending s = of(0.01);
	size_t openings;

	(void)state;
	s.pieces_per_ns = 100 / S;
	s.busy = 0.1;
	spend(&s, 10 * S, 0, &openings);
	assert_true(openings >= 7);
	spend(&s, 3600 * S, 0, &openings);
	assert_true(openings > 3600 / 13 && openings <= 3600 / 12 + 1);
}

/* They need not wait for those that slow requests, unless they do so, too; what they take is a fiftieth of the process's time. */
static void lookouts_are_gentle_or_wait_for_their_turn(void **state)
{
	const struct {
		double ran, dearest;
		bool slow;
	} cases[] = { { 100 * MS, 0.9 * MS, false }, { 100 * MS, 1.1 * MS, true }, { 8 * MS, 0.01 * MS, true } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spending s = of(0.01);

		s.pieces_per_ns = 300 / S;
		s.busy = 0.3; /* 1 ms each */
		spending__begin(&s);
		spending__place(&s, 20, s.busy);
		spending__end(&s, 5 * MS);
		spending__earn(&s, 6 * S, 0);
		assert_true(spending__lookout_wait_ns(&s, false) == 0);
		assert_true(spending__wait_ns(&s) > 3.9 * S && spending__wait_ns(&s) < 5.5 * S);
		spending__begin_lookout(&s);
		assert_true(spending__end_lookout(&s, 3 * MS, cases[i].ran, cases[i].dearest) == cases[i].slow);
		assert_true((spending__wait_ns(&s) > 9 * S) == cases[i].slow);
		assert_true(spending__lookout_wait_ns(&s, true) == spending__wait_ns(&s));
		spending__earn(&s, 0.45 * S, 0);
		assert_true(spending__lookout_wait_ns(&s, false) > 0);
		spending__earn(&s, 0.1 * S, 0);
		assert_true(spending__lookout_wait_ns(&s, false) == 0);
		s.pieces_per_ns = 0; /* at work: there is nothing to be kept */
		spending__end_lookout(&s, 3 * MS, cases[i].ran, cases[i].dearest);
		s.bank_ns = S;
		assert_true(spending__lookout_wait_ns(&s, false) == 0 && spending__wait_ns(&s) == 0);
	}
}

static void a_burst_begins_late_in_long_pieces(void **state)
{
	struct spending s = of(0.01);

	(void)state;
	spending__begin(&s);
	spending__place(&s, 20, 1);
	spending__skip(&s, 100, 200);
	assert_true(s.skip_allocs == 0);
	spending__skip(&s, 150, 100);
	assert_true(s.skip_allocs > 0 && s.skip_allocs <= 150);
	assert_true(s.skip_allocs * spending__skip_ns(&s) <= spending__stretch_ns(&s) * s.shares.skip);
	/* longer than can be paid for: as far as it goes */
	spending__skip(&s, 1e6, 100);
	assert_true(s.skip_allocs > 150 && s.skip_allocs < 1000);
	assert_true(s.shares.skip + s.shares.burst + s.shares.tail <= 0.95);
	/* not in the next one, unless it is asked for */
	spending__begin(&s);
	assert_true(s.skip_allocs == 0 && s.shares.skip == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_stays_within_the_budget_and_uses_it), cmocka_unit_test(what_placing_costs_is_paid),
		cmocka_unit_test(the_first_one_is_on_credit),		   cmocka_unit_test(an_overdraft_is_paid_back),
		cmocka_unit_test(what_was_spent_before_is_paid_after_the_first),
		cmocka_unit_test(no_more_is_saved_than_two_openings),	   cmocka_unit_test(a_service_keeps_its_99th_percentile),
		cmocka_unit_test(what_cannot_be_kept_is_not_tried),
		cmocka_unit_test(one_asked_less_often_is_looked_at_first),
		cmocka_unit_test(lookouts_are_gentle_or_wait_for_their_turn), cmocka_unit_test(a_burst_begins_late_in_long_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
