// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How often intervals of a sample hold the truth, for heaps of which each pool is known. live_sample.c does the same with real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "census_state.h"
#include "python.h"

enum { POOLS = 2000, BLOCK_BYTES = 64, SEEDS = 4000, TAG = TAG_FIRST, BLOCKS = 252 };
#define FIRST_POOL 0x7f1200000000ULL

struct world {
	struct py_interp py;
	struct census *c;
	int64_t objects[POOLS], live[POOLS];
	int64_t truth, all;
};

static void read_once(struct world *w, uint64_t seed, double fraction)
{
	struct census *c = w->c;

	census__set_options(c, &(struct census_options){ .sample = fraction, .seed = seed });
	census_sample__begin(c);
	memset(c->types, 0, c->type_capacity * sizeof(*c->types));
	for (uint64_t i = 0; i < POOLS; i++) {
		if (!heap_sample__takes(seed, FIRST_POOL + i * POOL_SMALL_BYTES, fraction))
			continue;
		census_sample__touch(c, &c->types[TAG], TAG);
		c->types[TAG].objects += w->objects[i];
		c->types[TAG].bytes += w->objects[i] * BLOCK_BYTES;
		c->types[TAG].tracked += w->objects[i];
		census_sample__see_pool(c, BLOCK_BYTES, w->live[i]);
	}
	c->heap->strata[BLOCK_BYTES / 8] = (struct heap_stratum){ POOLS, w->all };
	census_sample__finish(c);
	assert_int_equal(c->err, 0);
}

/* The share of intervals that hold the truth. */
static double coverage(struct world *w, double fraction)
{
	const struct census_type *t = &w->c->types[TAG];
	double sum = 0;
	int held = 0;

	w->truth = w->all = 0;
	for (int i = 0; i < POOLS; i++) {
		w->truth += w->objects[i];
		w->all += w->live[i];
	}
	for (int i = 0; i < SEEDS; i++) {
		read_once(w, i * 2654435761U, fraction);
		held += llabs(t->objects - w->truth) <= t->objects_error;
		sum += t->objects;
		assert_int_equal(t->tracked, t->objects);
		assert_in_range(t->bytes, (t->objects - 1) * BLOCK_BYTES, (t->objects + 1) * BLOCK_BYTES);
		assert_in_range(t->bytes_error + BLOCK_BYTES, t->objects_error * BLOCK_BYTES, (t->objects_error + 2) * BLOCK_BYTES);
		assert_in_range(t->owned_error + 1, t->bytes_error, t->bytes_error + 2);
	}
	assert_in_range(sum / SEEDS * 1000, w->truth * 995, w->truth * 1005);
	return held / (double)SEEDS;
}

/* Runs of objects of the type, among others; pools are more or less full. */
static void pools_that_differ(void **state)
{
	struct world *w = *state;
	double found;

	srand(3);
	for (int i = 0, run = 0, share = 0; i < POOLS; i++, run--) {
		if (run <= 0) {
			run = rand() % 30;
			share = rand() % 3 ? 0 : 20 + rand() % 81;
		}
		w->live[i] = BLOCKS / 3 + rand() % (2 * BLOCKS / 3);
		w->objects[i] = w->live[i] * share / 100;
	}
	found = coverage(w, 0.1);
	assert_in_range(found * 1000, 930, 970);
	found = coverage(w, 0.3);
	assert_in_range(found * 1000, 930, 970);
}

/* One loop has filled them all, but for some odd ones, which are not in each sample. */
static void pools_that_are_alike(void **state)
{
	struct world *w = *state;

	for (int odd = 1; odd < 20; odd += 6) {
		for (int i = 0; i < POOLS; i++) {
			w->live[i] = BLOCKS;
			w->objects[i] = i < odd ? 0 : BLOCKS * 2 / 3;
		}
		assert_in_range(coverage(w, 0.1) * 1000, 930, 1000);
	}
}

static void all_of_them(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < POOLS; i++) {
		w->live[i] = BLOCKS;
		w->objects[i] = i % 3;
		w->truth += i % 3;
		w->all += BLOCKS;
	}
	read_once(w, 1, 1);
	assert_int_equal(w->c->types[TAG].objects, w->truth);
	assert_int_equal(w->c->types[TAG].objects_error, 0);
}

/* What was not of a cluster is not multiplied. */
static void what_is_not_sampled(void **state)
{
	struct world *w = *state;
	struct census *c = w->c;

	census__set_options(c, &(struct census_options){ .sample = 0.5 });
	census_sample__begin(c);
	census_sample__touch(c, &c->types[TAG], TAG);
	c->types[TAG].objects += 10;
	census_sample__see_pool(c, BLOCK_BYTES, 20);
	c->sample.in_cluster = false;
	census_sample__touch(c, &c->types[TAG], TAG);
	c->types[TAG].objects += 7;
	c->heap->strata[BLOCK_BYTES / 8] = (struct heap_stratum){ 5, 100 };
	census_sample__finish(c);
	assert_int_equal(c->types[TAG].objects, 50 + 7);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->c = census__new(&w->py);
	if (!w->c)
		return -1;
	w->c->type_capacity = 16;
	w->c->types = calloc(w->c->type_capacity, sizeof(*w->c->types));
	*state = w;
	return w->c->types ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	census__free(w->c);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pools_that_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(pools_that_are_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(all_of_them, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_sampled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
