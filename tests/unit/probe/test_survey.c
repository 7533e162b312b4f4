// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How often the truth is in the interval that a row is given: by simulation, with a truth that is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "survey.h"

#define ROUNDS 4000
#define STACKS_MAX 6

static uint64_t seed;

static double random_share(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(seed >> 11) / 9007199254740992.0;
}

/* Blocks of one type: how many each stack has made, and the share of all that gets into the sample. */
struct truth {
	const char *name;
	double probability;
	uint32_t blocks[STACKS_MAX]; /* until a 0 */
	double least, most;          /* of the rows whose interval holds the truth */
};

struct coverage {
	uint32_t rows, held, low, high; /* LOW: the interval lies below the truth */
	double width;                   /* sum of error / truth */
};

static uint32_t sum(const uint32_t *cnt)
{
	uint32_t n = 0;

	for (int i = 0; i < STACKS_MAX; i++)
		n += cnt[i];
	return n;
}

static void judge(struct coverage *c, double amount, double error, double truth)
{
	c->rows++;
	c->low += amount + error < truth;
	c->high += amount - error > truth;
	c->held = c->rows - c->low - c->high;
	c->width += error / truth;
}

/* The heap knows how many there are; a row is a stack's share of them in the sample. Of what is in no sample there is no row. */
static void sample_once(const struct truth *t, struct coverage *c)
{
	uint32_t seen[STACKS_MAX] = { 0 }, all;

	for (int i = 0; i < STACKS_MAX; i++)
		for (uint32_t n = 0; n < t->blocks[i]; n++)
			seen[i] += random_share() < t->probability;
	all = sum(seen);
	for (int i = 0; i < STACKS_MAX; i++) {
		double amount = all ? (double)seen[i] / all * sum(t->blocks) : 0;

		if (seen[i])
			judge(c, amount, survey__error(amount, seen[i], all), t->blocks[i]);
	}
}

static void check(const char *name, const struct coverage *c, double least, double most)
{
	double held = (double)c->held / c->rows;

	print_message("%-46s %6u rows, %.1f %% hold the truth, %.1f %% are too low, %.1f %% too high, +-%.0f %% wide\n", name, c->rows, held * 100,
		      100.0 * c->low / c->rows, 100.0 * c->high / c->rows, c->width / c->rows * 100);
	assert_true(c->rows >= ROUNDS / 2);
	assert_true(held >= least && held <= most);
}

static void the_interval_holds_the_truth(void **state)
{
	/* one number stands for both sides, so that where a share is far from one half it is wider than it must be */
	static const struct truth truths[] = {
		{ "two stacks, 1:1, some 200 samples", 0.05, { 2000, 2000 }, 0.93, 0.97 },
		{ "two stacks, 1:3, some 200 samples", 0.02, { 2500, 7500 }, 0.93, 0.975 },
		{ "two stacks, 1:3, some 40 samples", 0.02, { 500, 1500 }, 0.93, 0.985 },
		{ "three stacks, 1:2:7, some 100 samples", 0.01, { 1000, 2000, 7000 }, 0.93, 0.985 },
		{ "six stacks alike, some 120 samples", 0.02, { 1000, 1000, 1000, 1000, 1000, 1000 }, 0.93, 0.985 },
		{ "two stacks, 1:19, some 200 samples", 0.02, { 500, 9500 }, 0.93, 0.995 },
		{ "two stacks, 1:1, some 10 samples", 0.01, { 500, 500 }, 0.93, 1 },
		{ "two stacks, 1:3, some 6 samples", 0.01, { 150, 450 }, 0.93, 1 },
		{ "one stack", 0.01, { 1000 }, 1, 1 },
		{ "half of all is sampled", 0.5, { 300, 700 }, 0.95, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		struct coverage c = { 0 };

		seed = 7 + i;
		for (int round = 0; round < ROUNDS; round++)
			sample_once(&truths[i], &c);
		check(truths[i].name, &c, truths[i].least, truths[i].most);
	}
}

/* Where it is not known how many there are in all, a sample stands for as many as it is rare. */
static void of_an_unknown_whole(void **state)
{
	static const struct {
		const char *name;
		double probability;
		uint32_t blocks;
		double least, most;
	} truths[] = {
		{ "whole not known, some 200 samples", 0.05, 4000, 0.93, 0.975 },
		{ "whole not known, some 25 samples", 0.01, 2500, 0.93, 0.985 },
		{ "whole not known, some 5 samples", 0.01, 500, 0.93, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		struct coverage c = { 0 };

		seed = 70 + i;
		for (int round = 0; round < ROUNDS; round++) {
			uint32_t seen = 0;

			for (uint32_t n = 0; n < truths[i].blocks; n++)
				seen += random_share() < truths[i].probability;
			if (seen)
				judge(&c, seen / truths[i].probability, survey__error(seen / truths[i].probability, seen, SURVEY_UNKNOWN),
				      truths[i].blocks);
		}
		check(truths[i].name, &c, truths[i].least, truths[i].most);
	}
}

static void the_ends(void **state)
{
	(void)state;
	/* nothing is missing: exact, however many it are */
	assert_true(survey__error(1000, 3, SURVEY_ALL) == 0);
	assert_true(survey__error(1000, 0, SURVEY_ALL) == 0);
	/* known to be there, in no sample: all may be this line's, or none */
	assert_true(survey__error(1000, 0, 0) == 1000);
	/* more of the same shares: surer, as the square root */
	assert_true(survey__error(1000, 10, 20) > survey__error(1000, 100, 200));
	assert_float_equal(survey__error(1000, 2500, 10000) / survey__error(1000, 10000, 40000), 2, 0.02);
	/* the same in every unit */
	assert_float_equal(survey__error(48000, 10, 20), 48 * survey__error(1000, 10, 20), 1e-6);
	for (uint32_t all = 1; all < 50; all++)
		for (uint32_t samples = 1; samples <= all; samples++) {
			double error = survey__error(100, samples, all);

			assert_true(isfinite(error) && error > 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_interval_holds_the_truth),
		cmocka_unit_test(of_an_unknown_whole),
		cmocka_unit_test(the_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
