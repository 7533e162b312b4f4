// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Growth and its range over synthetic histories of known truth, and the times that follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "forecast.h"
#include "series.h"

#define BASE 200e6
#define MIB (1024 * 1024.0)

static void add(struct history *h, int tick, double bytes)
{
	history__add(h, (uint64_t)(tick + 1) * TICK_NS, (uint64_t)llround(BASE + bytes));
}

/* N ticks of the expression VALUE over the tick T, of a quarter of a second. */
#define HISTORY(h, n, value)                    \
	do {                                    \
		memset(&(h), 0, sizeof(h));     \
		for (int t = 0; t < (n); t++)   \
			add(&(h), t, value);    \
	} while (0)

static void holds(const struct slope *s, double truth)
{
	assert_true(s->low <= truth && truth <= s->high);
	assert_true(s->low <= s->bytes_per_s && s->bytes_per_s <= s->high);
}

static void is_near(double value, double truth, double share)
{
	if (fabs(value - truth) > share * fabs(truth))
		fail_msg("%g instead of %g", value, truth);
}

static void too_few_samples_are_unknown(void **state)
{
	struct history h = {0};
	struct slope s;

	(void)state;
	assert_int_equal(slope__of(&h).trend, TREND_UNKNOWN);
	for (int t = 0; t < FORECAST_MIN_SAMPLES; t++) {
		assert_int_equal(slope__of(&h).trend, TREND_UNKNOWN);
		add(&h, t, 1e4 * t);
	}
	s = slope__of(&h);
	assert_int_equal(s.trend, TREND_GROWING);
	assert_true(isinf(forecast__of(&(struct slope){0}, 1, 1).limit_in_s));
}

static void a_line_is_found_exactly_at_any_length(void **state)
{
	struct history h;

	(void)state;
	for (int n = FORECAST_MIN_SAMPLES; n < 40000; n = n * 3 / 2) {
		struct slope s;

		HISTORY(h, n, 4096.0 * t);
		s = slope__of(&h);
		assert_int_equal(s.trend, TREND_GROWING);
		is_near(s.bytes_per_s, 4096 * 4, 1e-6);
		is_near(s.low, 4096 * 4, 1e-3);
		is_near(s.high, 4096 * 4, 1e-3);
		HISTORY(h, n, -1000.0 * t);
		s = slope__of(&h);
		assert_int_equal(s.trend, TREND_NOT_GROWING);
		is_near(s.bytes_per_s, -4000, 1e-3);
	}
}

/* It knows where it was long ago, and what it was a while ago. */
static void history_is_bounded_and_even(void **state)
{
	struct history h = {0};

	(void)state;
	for (int t = 0; t < 100000; t++) {
		add(&h, t, t);
		assert_in_range(h.cnt, t < HISTORY_MAX ? t + 1 : HISTORY_MAX / 2, HISTORY_MAX);
	}
	assert_true(h.points[0].time_s < 1000);
	assert_true(h.points[h.cnt - 1].time_s > 100000 * 0.25 - 1200);
	for (size_t i = 1; i < h.cnt; i++)
		is_near(h.points[i].time_s - h.points[i - 1].time_s, h.stride * 0.25, 1e-9);
	for (size_t i = 0; i < h.cnt; i++)
		is_near(h.points[i].bytes - BASE, h.points[i].time_s * 4, 1e-6);
}

static void time_does_not_go_back(void **state)
{
	struct history h = {0};

	(void)state;
	for (int t = 0; t < 3 * HISTORY_MAX; t++) {
		add(&h, t, 4096.0 * t);
		add(&h, t, 9e9);
		add(&h, t / 2, 9e9);
	}
	assert_int_equal(h.samples, 3 * HISTORY_MAX);
	is_near(slope__of(&h).bytes_per_s, 4096 * 4, 1e-6);
}

/* Samples at uneven times, as when a process sleeps between. */
static void uneven_times(void **state)
{
	struct history h = {0};
	uint64_t r = 1;
	int at = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		at += 1 + random__below(&r, 8);
		add(&h, at, 5000.0 * at);
	}
	is_near(slope__of(&h).bytes_per_s, 20000, 1e-6);
}

static void flat_is_not_growing(void **state)
{
	struct history h;
	struct slope s;

	(void)state;
	HISTORY(h, 500, 0);
	s = slope__of(&h);
	assert_int_equal(s.trend, TREND_NOT_GROWING);
	assert_true(s.bytes_per_s == 0 && s.low == 0 && s.high == 0);
	assert_true(isinf(forecast__of(&s, 0, 0).earliest_s) && forecast__of(&s, 0, 0).restart_every_s == 0);
}

/* Teeth of any period and phase, seen for two at least, with and without noise. */
static void sawtooth_is_not_growing(void **state)
{
	struct history h;

	(void)state;
	for (int period = 4; period <= 300; period = period * 4 / 3 + 1) {
		for (int n = 2 * period < 40 ? 40 : 2 * period; n < 1500; n = n * 5 / 4) {
			for (int phase = 0; phase < period; phase += 1 + period / 7) {
				HISTORY(h, n, 5e6 * ((t + phase) % period) / period);
				assert_int_equal(slope__of(&h).trend, TREND_NOT_GROWING);
			}
		}
	}
}

/* Of what does not grow at most this share may be called growing by chance: half of the 5 % outside, and some for the corrections. */
static void noise_is_not_growing(void **state)
{
	int alarms = 0, rounds = 0;
	struct history h;

	(void)state;
	for (uint64_t seed = 0; seed < 1500; seed++, rounds++) {
		double echo = (seed % 3) * 0.45, noise = 0;
		uint64_t r = seed;

		memset(&h, 0, sizeof(h));
		for (int t = 0; t < 60 + (int)(seed % 7) * 40; t++) {
			noise = echo * noise + 1e5 * random__normal(&r);
			add(&h, t, noise);
		}
		alarms += slope__of(&h).trend == TREND_GROWING;
	}
	assert_true(alarms <= 0.04 * rounds);
	assert_true(alarms > 0); /* a range that never errs is too wide */
}

struct coverage {
	int rounds, held, growing;
	double width; /* sum of half-widths over the truth */
};

static struct coverage cover(double echo, double noise, double step_chance, int n)
{
	struct coverage c = {0};

	for (uint64_t seed = 0; seed < 1000; seed++, c.rounds++) {
		double wave = 0, level = 0, rate = 1e5;
		uint64_t r = seed * 31 + 7;
		struct history h = {0};
		struct slope s;

		for (int t = -100; t < n; t++) {
			wave = echo * wave + noise * random__normal(&r);
			if (t < 0)
				continue;
			level += step_chance > 0 ? rate / step_chance * random__poisson(&r, step_chance) : rate;
			add(&h, t, level + wave);
		}
		s = slope__of(&h);
		c.held += s.low <= 4 * rate && 4 * rate <= s.high;
		c.growing += s.trend == TREND_GROWING;
		c.width += (s.high - s.low) / 2 / (4 * rate);
	}
	return c;
}

/* The truth is in the range as often as it says, and the range is not wide for nothing. */
static void range_holds_the_truth(void **state)
{
	static const int lengths[] = {30, 60, 150, 600};
	static const double echoes[] = {0, 0.5, 0.9};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t e = 0; e < 3; e++) {
			struct coverage c = cover(echoes[e], 1e5, 0, lengths[i]);

			assert_in_range(c.held, 0.93 * c.rounds, 0.998 * c.rounds);
			if (lengths[i] < 60)
				continue;
			assert_true(c.growing >= 0.99 * c.rounds);
			assert_true(c.width / c.rounds < 0.3);
		}
		/* one step in two ticks, and in five: random walks */
		assert_true(cover(0, 0, 0.5, lengths[i]).held >= 0.85 * 1000);
		assert_true(cover(0, 0, 0.2, lengths[i]).held >= 0.83 * 1000);
	}
	assert_true(cover(0, 0, 0.2, 600).held >= 0.9 * 1000);
	assert_true(cover(0, 0, 0.2, 600).width / 1000 < 0.3);
}

/* What one request holds for a moment is not growth, and does not hide it. */
static void spikes(void **state)
{
	uint64_t r = 5;
	struct history h;
	struct slope s;

	(void)state;
	HISTORY(h, 60, 1e5 * t + (t % 11 == 5 ? 3e8 : 0));
	s = slope__of(&h);
	assert_int_equal(s.trend, TREND_GROWING);
	is_near(s.bytes_per_s, 4e5, 0.05);
	HISTORY(h, 60, 1e4 * random__normal(&r) + (t > 50 && t % 4 == 0 ? 3e8 : 0));
	assert_int_equal(slope__of(&h).trend, TREND_NOT_GROWING);
}

/* The kernel's own count of RSS moves in steps of some pages per processor. */
static void coarse_counter(void **state)
{
	struct history h;

	(void)state;
	for (int n = 100; n < 2000; n += 123) {
		struct slope s;

		HISTORY(h, n, floor(10000.0 * t / 131072) * 131072);
		s = slope__of(&h);
		assert_int_equal(s.trend, TREND_GROWING);
		holds(&s, 40000);
	}
}

/* Between two steps the newest part is flat, and that is no change. */
static void rare_even_steps(void **state)
{
	struct history h;

	(void)state;
	for (int n = 320; n < 2000; n += 7) {
		struct slope s;

		HISTORY(h, n, 1e6 * floor(t / 30.0));
		s = slope__of(&h);
		assert_int_equal(s.trend, TREND_GROWING);
		holds(&s, 4e6 / 30);
	}
}

static void a_warm_up_before_it_does_not_count(void **state)
{
	struct history h;
	uint64_t r = 9;

	(void)state;
	for (int n = 160; n < 3000; n = n * 5 / 4) {
		struct slope s;

		HISTORY(h, n, (t < 30 ? 4e6 * t : 1.2e8) + 1000.0 * t + 2000 * random__normal(&r));
		s = slope__of(&h);
		assert_int_equal(s.trend, TREND_GROWING);
		is_near(s.bytes_per_s, 4000, 0.1);
	}
	HISTORY(h, 1000, 1e8 * (1 - exp(-t / 30.0)) + 1e4 * random__normal(&r));
	assert_int_equal(slope__of(&h).trend, TREND_NOT_GROWING);
}

static void a_leak_that_begins_later_is_seen(void **state)
{
	struct history h;
	uint64_t r = 9;
	struct slope s;

	(void)state;
	HISTORY(h, 800, (t < 400 ? 0 : 1e5 * (t - 400)) + 1e4 * random__normal(&r));
	s = slope__of(&h);
	assert_int_equal(s.trend, TREND_GROWING);
	is_near(s.bytes_per_s, 4e5, 0.05);
	/* as soon as it has lasted as long as what was before, and a bit */
	for (int n = 420; n < 800; n += 10) {
		HISTORY(h, n, (t < 200 ? 0 : 1e5 * (t - 200)) + 3e4 * random__normal(&r));
		is_near(slope__of(&h).bytes_per_s, 4e5, 0.1);
	}
	for (int n = 330; n < 400; n += 10) {
		HISTORY(h, n, (t < 200 ? 0 : 1e5 * (t - 200)) + 3e4 * random__normal(&r));
		is_near(slope__of(&h).bytes_per_s, 4e5, 0.3);
	}
	/* and that one has ended */
	HISTORY(h, 800, (t < 300 ? 1e5 * t : 3e7) + 1e4 * random__normal(&r));
	assert_int_equal(slope__of(&h).trend, TREND_NOT_GROWING);
}

static const struct slope steady = {TREND_GROWING, MIB, 0.8 * MIB, 1.25 * MIB};

static void times_follow_from_room_and_range(void **state)
{
	struct forecast f = forecast__of(&steady, (uint64_t)(6000 * MIB), (uint64_t)(6250 * MIB));

	(void)state;
	is_near(f.limit_in_s, 6000, 1e-9);
	is_near(f.earliest_s, 4800, 1e-9);
	is_near(f.latest_s, 7500, 1e-9);
	/* 80 % of 6250 at 1.25 a second: 4000 s, said as 1 h */
	is_near(f.restart_every_s, 3600, 1e-9);
	f = forecast__of(&steady, 0, (uint64_t)(6250 * MIB));
	assert_true(f.limit_in_s == 0 && f.earliest_s == 0 && f.latest_s == 0);
	is_near(f.restart_every_s, 3600, 1e-9);
}

static void far_away_is_never(void **state)
{
	const struct slope slow = {TREND_GROWING, 100, 1e-9, 200};
	struct forecast f = forecast__of(&slow, 1000000, 1000000);

	(void)state;
	is_near(f.limit_in_s, 10000, 1e-9);
	assert_true(isinf(f.latest_s));
	f = forecast__of(&slow, UINT64_MAX, UINT64_MAX);
	assert_true(isinf(f.limit_in_s) && isinf(f.earliest_s) && isinf(f.latest_s));
}

/* Never longer than the rule allows, and no shorter than half of it. */
static void restarts_are_rounded_down(void **state)
{
	static const struct {
		double seconds, said;
	} cases[] = {
		{9.9, 0}, {10, 10}, {59, 50}, {60, 60}, {2640, 2400}, {3599, 3000}, {19000, 18000}, {86399, 72000}, {90000, 86400},
		{1e9, 30 * 86400},
	};
	const struct slope s = {TREND_GROWING, 1e6, 1e6, 1e6};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t room = (uint64_t)ceil(cases[i].seconds * 1e6 / FORECAST_RESTART_SHARE);

		is_near(forecast__of(&s, room, room).restart_every_s, cases[i].said, 1e-9);
	}
	for (double seconds = 10; seconds < 30 * 86400; seconds *= 1.01) {
		uint64_t room = (uint64_t)(seconds * 1e6 / FORECAST_RESTART_SHARE);
		double said = forecast__of(&s, room, room).restart_every_s;

		assert_true(said <= seconds && said >= seconds / 2.2);
	}
}

static void what_shares_a_limit_adds_up(void **state)
{
	const struct slope a = {TREND_GROWING, 1000, 700, 1300}, b = {TREND_GROWING, 500, 100, 900}, flat = {TREND_NOT_GROWING, 50, -100, 200};
	struct slope sum = slope__sum(&a, &b);

	(void)state;
	assert_int_equal(sum.trend, TREND_GROWING);
	is_near(sum.bytes_per_s, 1500, 1e-9);
	is_near(sum.low, 1000, 1e-9); /* 300 and 400 at right angles */
	is_near(sum.high, 2000, 1e-9);
	sum = slope__sum(&a, &flat);
	is_near(sum.low, 700, 1e-9);
	sum = slope__sum(&flat, &a);
	is_near(sum.high, 1300, 1e-9);
	assert_int_equal(slope__sum(&flat, &flat).trend, TREND_NOT_GROWING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_few_samples_are_unknown),
		cmocka_unit_test(a_line_is_found_exactly_at_any_length),
		cmocka_unit_test(history_is_bounded_and_even),
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(uneven_times),
		cmocka_unit_test(flat_is_not_growing),
		cmocka_unit_test(sawtooth_is_not_growing),
		cmocka_unit_test(noise_is_not_growing),
		cmocka_unit_test(range_holds_the_truth),
		cmocka_unit_test(spikes),
		cmocka_unit_test(coarse_counter),
		cmocka_unit_test(rare_even_steps),
		cmocka_unit_test(a_warm_up_before_it_does_not_count),
		cmocka_unit_test(a_leak_that_begins_later_is_seen),
		cmocka_unit_test(times_follow_from_room_and_range),
		cmocka_unit_test(far_away_is_never),
		cmocka_unit_test(restarts_are_rounded_down),
		cmocka_unit_test(what_shares_a_limit_adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
