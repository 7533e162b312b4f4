// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The verdict over synthetic histories: every leak must be called one in time, nothing healthy may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "series.h"

#define FIVE_INTERVALS (5 * TICKS_PER_INTERVAL)
#define ROUNDS 200

/* A history of N ticks of the expression VALUE over the tick T. */
#define SERIES(s, n, value)                     \
	do {                                    \
		memset(&(s), 0, sizeof(s));     \
		for (int t = 0; t < (n); t++)   \
			series__add(&(s), value); \
	} while (0)

static void needs_five_intervals_and_eight_ticks(void **state)
{
	struct series s = {0};
	struct evidence none = {0};

	(void)state;
	assert_int_equal(verdict__of(&none), VERDICT_UNKNOWN);
	for (int t = 0; t < 4 * TICKS_PER_INTERVAL; t++) {
		series__add(&s, 1000.0 * t);
		assert_int_equal(series__verdict(&s), VERDICT_UNKNOWN);
	}
	/* five intervals of one tick each are five numbers, no history */
	memset(&s, 0, sizeof(s));
	for (uint32_t t = 1; t < VERDICT_MIN_TICKS; t++) {
		s.points[s.cnt++] = point__of(t * TICK_NS, t, t * 1000);
		assert_int_equal(series__verdict(&s), VERDICT_UNKNOWN);
	}
}

static void linear_leak_of_any_rate(void **state)
{
	struct series s;

	(void)state;
	for (double rate = 1; rate < 1e9; rate *= 7) {
		for (int n = FIVE_INTERVALS; n < 400; n += 13) {
			SERIES(s, n, rate * t);
			assert_int_equal(series__verdict(&s), VERDICT_GROWING);
			SERIES(s, n, 1e9 + rate * t);
			assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		}
	}
}

static void one_tick_per_interval_is_enough(void **state)
{
	struct series s = {0};

	(void)state;
	for (uint32_t t = 1; t <= VERDICT_MIN_TICKS; t++)
		s.points[s.cnt++] = point__of(t * TICK_NS, t, t * 1000);
	assert_int_equal(series__verdict(&s), VERDICT_GROWING);
}

/* One object every few ticks, four or more in all, at any phase. */
static void slow_stepped_leak(void **state)
{
	struct series s;

	(void)state;
	for (int n = FIVE_INTERVALS; n <= 300; n += 20) {
		for (int period = 1; period <= n / 5; period++) {
			for (int phase = 0; phase < period; phase += 1 + period / 4) {
				SERIES(s, n, 64 * ((t + phase) / period));
				assert_int_equal(series__verdict(&s), VERDICT_GROWING);
			}
		}
	}
}

static void accelerating_leak(void **state)
{
	struct series s;

	(void)state;
	for (int n = FIVE_INTERVALS; n <= 300; n += 35) {
		SERIES(s, n, 10.0 * t * t);
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
	SERIES(s, 60, 1e6 * exp(t * 0.03));
	assert_int_equal(series__verdict(&s), VERDICT_GROWING);
}

/* Fluctuations of up to a third of the rise, at any seed, long enough that chance is no excuse. */
static void leak_under_churn(void **state)
{
	struct series s;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;
		double noise = (0.05 + 0.3 * random__uniform(&r)) * 100 * 100;

		SERIES(s, 100, 100 * t + noise * random__uniform(&r));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		r = seed;
		SERIES(s, 100, 5000 + 100 * t + 500 * random__normal(&r));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

/* With light churn the first five intervals must do. */
static void leak_under_light_churn_in_time(void **state)
{
	struct series s;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;

		SERIES(s, FIVE_INTERVALS, 100 * t + 150 * random__uniform(&r));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

/* Heavy: each tick as much in flight as the leak gains in 60. */
static void leak_under_heavy_churn_in_the_end(void **state)
{
	struct series s;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;

		SERIES(s, 240, 100 * t + 6000 * random__uniform(&r));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

/* Requests arrive at random, each leaks one object. */
static void leak_of_random_requests(void **state)
{
	int missed = 0;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;
		struct series s;
		double sum = 0;

		SERIES(s, 200, sum += 64 * random__poisson(&r, 2));
		missed += series__verdict(&s) != VERDICT_GROWING;
	}
	assert_in_range(missed, 0, ROUNDS / 50);
}

static void burst_then_leak(void **state)
{
	struct series s;

	(void)state;
	for (int at = 1; at < 20; at++) {
		/* kept */
		SERIES(s, at + FIVE_INTERVALS + 4, t < at ? 0 : 1e7 + 1e4 * (t - at));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		SERIES(s, at + 200, t < at ? 0 : 1e7 + 1e4 * (t - at));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		/* given back: looks like a saw's first tooth, so it takes longer */
		SERIES(s, at * 5 + 80, (t >= 1 && t < at + 1 ? 1e5 : 0) + 1e4 * t);
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

static void warm_up_then_leak(void **state)
{
	struct series s;

	(void)state;
	for (int n = 40; n < 300; n += 20) {
		SERIES(s, n, 1e5 * (1 - exp(-t / 3.0)) + 1e4 * t);
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

/* A service that was healthy for long: not judged by its past for ever. */
static void late_leak(void **state)
{
	struct series s;

	(void)state;
	for (int quiet = 30; quiet < 2000; quiet = quiet * 2) {
		uint64_t r = (uint64_t)quiet;

		SERIES(s, quiet + 30 + quiet / 4, 1e6 + (t < quiet ? 0 : 1e4 * (t - quiet)));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		SERIES(s, quiet + 30 + quiet / 4, 1e6 + 2e4 * random__uniform(&r) + (t < quiet ? 0 : 1e4 * (t - quiet)));
		assert_int_equal(series__verdict(&s), VERDICT_GROWING);
	}
}

static void leak_below_a_saw(void **state)
{
	struct series s;

	(void)state;
	for (int period = 2; period < 10; period++) {
		for (int phase = 0; phase < period; phase++) {
			SERIES(s, 100, 1e4 * ((t + phase) % period) + 5e3 * t);
			assert_int_equal(series__verdict(&s), VERDICT_GROWING);
		}
	}
}

/* Traced from the attach on: the first tooth is a part of one. Never growing once a real fall was seen. */
static void saw_is_never_growing_after_its_first_fall(void **state)
{
	(void)state;
	for (int period = 2; period <= 40; period++) {
		for (int phase = 0; phase < period; phase++) {
			struct series s = {0};

			for (int t = 0; t < 5 * period + 20; t++) {
				int tooth = (t + phase) / period;

				series__add(&s, 1e4 * (tooth ? (t + phase) % period : t));
				/* a first tooth of one tick is no bigger than what a request holds */
				if (tooth && period - phase > 1)
					assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
			}
			assert_int_not_equal(series__verdict(&s), VERDICT_UNKNOWN);
		}
	}
}

/* Long histories are thinned out: the falls must survive that. */
static void long_saw(void **state)
{
	(void)state;
	for (int period = 3; period <= 40; period += 4) {
		struct series s = {0};

		for (int t = 0; t < 1500; t++) {
			series__add(&s, 1e6 + 1e4 * (t % period));
			if (t > period)
				assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
		}
	}
}

/* Teeth of random length, that never fall to quite the same level. */
static void ragged_saw_is_stable_in_the_end(void **state)
{
	int growing = 0;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;
		double value = 0;
		int left = 0;
		struct series s = {0};

		for (int t = 0; t < 200; t++) {
			if (left-- <= 0) {
				left = 6 + random__below(&r, 12);
				value = 3e4 * random__uniform(&r);
			}
			value += 1e4;
			series__add(&s, value);
			growing += t > 60 && series__verdict(&s) == VERDICT_GROWING;
		}
	}
	assert_int_equal(growing, 0);
}

static void saturating_warm_up_is_not_growing_at_its_end(void **state)
{
	(void)state;
	for (int n = FIVE_INTERVALS; n <= 320; n *= 2) {
		for (int tau = 1; tau <= n / 5; tau++) {
			struct series s;

			SERIES(s, n, 1e6 * (1 - exp(-t / (double)tau)));
			assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
		}
	}
}

/* With fluctuations of a tenth, on four time constants and more. */
static void noisy_warm_up_is_not_growing_at_its_end(void **state)
{
	int growing = 0;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		uint64_t r = seed;
		int tau = 2 + random__below(&r, 20);
		struct series s;

		SERIES(s, 100, 1e6 * (1 - exp(-t / (double)tau)) + 1e5 * random__uniform(&r));
		growing += series__verdict(&s) == VERDICT_GROWING;
	}
	assert_int_equal(growing, 0);
}

static void slowing_down_is_warming(void **state)
{
	struct series s;

	(void)state;
	for (int n = FIVE_INTERVALS; n <= 160; n *= 2) {
		SERIES(s, n, 1e6 * (1 - exp(-t * 1.5 / n)));
		assert_int_equal(series__verdict(&s), VERDICT_WARMING);
	}
}

static void a_leak_needs_evidence_of_its_own(void **state)
{
	struct series s;

	(void)state;
	/* quiet for long, rising for three intervals */
	SERIES(s, 72, 1e6 + (t < 60 ? 0 : 1e4 * (t - 60)));
	assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
	/* three steps, however well spread */
	SERIES(s, 20, (t >= 5) + (t >= 11) + (t >= 17));
	assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
	SERIES(s, 20, (t >= 3) + (t >= 7) + (t >= 11) + (t >= 15));
	assert_int_equal(series__verdict(&s), VERDICT_GROWING);
}

/* A tenth of the history after the last rise is enough when it rose at every tick before. */
static void just_full_is_not_growing(void **state)
{
	struct series s;

	(void)state;
	SERIES(s, 60, 1e4 * (t < 54 ? t : 54));
	assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
}

static void cache_that_is_full_is_stable(void **state)
{
	(void)state;
	for (int n = FIVE_INTERVALS; n <= 320; n *= 2) {
		for (int full = 2; full <= n / 2; full++) {
			uint64_t r = (uint64_t)full;
			struct series s;

			SERIES(s, n, 1e4 * (t < full ? t : full));
			assert_int_equal(series__verdict(&s), VERDICT_STABLE);
			/* with evictions: a tenth given back each time */
			SERIES(s, n, t < full ? 1e4 * t : 1e4 * full * (0.9 + 0.1 * random__uniform(&r)));
			assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
		}
	}
}

static void one_burst_is_not_growing(void **state)
{
	(void)state;
	for (int n = FIVE_INTERVALS; n <= 320; n *= 2) {
		for (int at = 1; at < n; at++) {
			struct series s;

			SERIES(s, n, t < at ? 1000 : 1e6);
			assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
			if (at < n / 2)
				assert_int_equal(series__verdict(&s), VERDICT_STABLE);
		}
	}
}

static void constant_is_stable(void **state)
{
	struct series s;

	(void)state;
	SERIES(s, FIVE_INTERVALS, 4096);
	assert_int_equal(series__verdict(&s), VERDICT_STABLE);
	SERIES(s, 500, 4096);
	assert_int_equal(series__verdict(&s), VERDICT_STABLE);
	SERIES(s, 100, 1e6 - 1e3 * t);
	assert_int_equal(series__verdict(&s), VERDICT_STABLE);
}

/* Independent values at every tick: in no round and at no tick. */
static void churn_is_never_growing(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct series flat = {0}, bell = {0}, few = {0};
		uint64_t r = seed;

		for (int t = 0; t < 150; t++) {
			series__add(&flat, 1e6 * random__uniform(&r));
			series__add(&bell, 1e6 + 1e5 * random__normal(&r));
			series__add(&few, 64 * random__poisson(&r, 0.5));
			assert_int_not_equal(series__verdict(&flat), VERDICT_GROWING);
			assert_int_not_equal(series__verdict(&bell), VERDICT_GROWING);
			assert_int_not_equal(series__verdict(&few), VERDICT_GROWING);
		}
	}
}

/* A walk that is drawn back to its mean. Slow waves cannot be told from a trend at once: rarely, and not for long. */
static void walk_around_a_constant(void **state)
{
	int growing = 0, judged = 0;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct series s = {0};
		uint64_t r = seed;
		double walk = 0;

		for (int t = 0; t < 150; t++) {
			walk = 0.7 * walk + random__normal(&r);
			series__add(&s, 1e6 + 1e5 * walk);
			growing += series__verdict(&s) == VERDICT_GROWING;
			judged += t >= FIVE_INTERVALS;
		}
		assert_int_not_equal(series__verdict(&s), VERDICT_GROWING);
	}
	assert_in_range(growing, 0, judged / 500);
}

static void refill_after_an_earlier_peak_takes_longer(void **state)
{
	struct evidence e = {.been_here = true};
	struct series s;

	(void)state;
	SERIES(s, FIVE_INTERVALS, 1e6 * t);
	e.points = s.points;
	e.cnt = s.cnt;
	assert_int_not_equal(verdict__of(&e), VERDICT_GROWING);
	e.been_here = false;
	assert_int_equal(verdict__of(&e), VERDICT_GROWING);
	e.been_here = true;
	SERIES(s, VERDICT_LONG_INTERVALS * TICKS_PER_INTERVAL, 1e6 * t);
	e.cnt = s.cnt;
	assert_int_equal(verdict__of(&e), VERDICT_GROWING);
	/* too little to show in the RSS */
	SERIES(s, FIVE_INTERVALS, 1000 * t);
	e.cnt = s.cnt;
	assert_int_equal(verdict__of(&e), VERDICT_GROWING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(needs_five_intervals_and_eight_ticks),
		cmocka_unit_test(linear_leak_of_any_rate),
		cmocka_unit_test(one_tick_per_interval_is_enough),
		cmocka_unit_test(slow_stepped_leak),
		cmocka_unit_test(accelerating_leak),
		cmocka_unit_test(leak_under_churn),
		cmocka_unit_test(leak_under_light_churn_in_time),
		cmocka_unit_test(leak_under_heavy_churn_in_the_end),
		cmocka_unit_test(leak_of_random_requests),
		cmocka_unit_test(burst_then_leak),
		cmocka_unit_test(warm_up_then_leak),
		cmocka_unit_test(late_leak),
		cmocka_unit_test(leak_below_a_saw),
		cmocka_unit_test(saw_is_never_growing_after_its_first_fall),
		cmocka_unit_test(long_saw),
		cmocka_unit_test(ragged_saw_is_stable_in_the_end),
		cmocka_unit_test(saturating_warm_up_is_not_growing_at_its_end),
		cmocka_unit_test(noisy_warm_up_is_not_growing_at_its_end),
		cmocka_unit_test(slowing_down_is_warming),
		cmocka_unit_test(a_leak_needs_evidence_of_its_own),
		cmocka_unit_test(just_full_is_not_growing),
		cmocka_unit_test(cache_that_is_full_is_stable),
		cmocka_unit_test(one_burst_is_not_growing),
		cmocka_unit_test(constant_is_stable),
		cmocka_unit_test(churn_is_never_growing),
		cmocka_unit_test(walk_around_a_constant),
		cmocka_unit_test(refill_after_an_earlier_peak_takes_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
