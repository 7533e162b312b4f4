// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "growth.h"
#include "intern.h"
#include "rank.h"
#include "series.h"
#include "stacks.h"

struct fixture {
	struct intern *strings;
	struct stacks *stacks;
	struct growth *g;
	uint64_t now;
	uint32_t ticks;
};

static void setup(struct fixture *f, enum growth_group group)
{
	struct growth_opts opts = {.group = group};

	memset(f, 0, sizeof(*f));
	opts.strings = f->strings = intern__new();
	f->stacks = stacks__new(f->strings);
	opts.stacks = f->stacks;
	f->g = growth__new(&opts);
	f->now = 1000000000;
}

static void teardown(struct fixture *f)
{
	growth__free(f->g);
	stacks__free(f->stacks);
	intern__free(f->strings);
}

static uint32_t name(struct fixture *f, const char *s)
{
	uint32_t id;

	assert_int_equal(intern__string(f->strings, s, &id), 0);
	return id;
}

/* A library frame and below it a line of the app. */
static uint32_t stack(struct fixture *f, uint32_t library_line, uint32_t app_line)
{
	struct frame frames[] = {
		{.file = name(f, "/usr/lib/python3.11/json/decoder.py"), .line = library_line, .function = name(f, "decode")},
		{.file = name(f, "/srv/app.py"), .line = app_line, .function = name(f, "handle")},
	};
	uint32_t id;

	assert_int_equal(stacks__id(f->stacks, frames, 2, &id), 0);
	return id;
}

static void begin(struct fixture *f)
{
	f->now += TICK_NS;
	f->ticks++;
	growth__begin(f->g, f->now);
}

static void end(struct fixture *f)
{
	assert_int_equal(growth__end(f->g, f->ticks % TICKS_PER_INTERVAL == 0), 0);
}

static void add(struct fixture *f, const char *type, uint32_t stack_id, int64_t bytes)
{
	struct sample s = {.proc = 1, .stack = stack_id, .type = name(f, type), .bytes = bytes, .objects = bytes / 64};

	s.type_is_buffer = !strncmp(type, "dict ", 5) || !strncmp(type, "list ", 5) || !strncmp(type, "set ", 4);
	assert_int_equal(growth__add(f->g, &s), 0);
}

static const char *type_of(struct fixture *f, const struct growth_row *row)
{
	return intern__get(f->strings, row->type, NULL);
}

static void numbers_of_a_row(void **state)
{
	struct growth_row row;
	struct fixture f;
	uint32_t st;

	(void)state;
	setup(&f, GROUP_STACK);
	st = stack(&f, 1, 10);
	for (int t = 1; t <= 2 * TICKS_PER_INTERVAL; t++) {
		struct sample s = {
			.proc = 3, .stack = st, .type = name(&f, "dict"), .bytes = 6400 * t, .objects = 100 * t,
			.oldest_ns = 1000000000, .survived_full_gcs = 2, .survivors = 5, .bytes_error = 3,
		};

		begin(&f);
		assert_int_equal(growth__add(f.g, &s), 0);
		s.bytes = s.objects = 1;
		s.oldest_ns = 0;
		s.survived_full_gcs = 1;
		s.bytes_error = 4;
		assert_int_equal(growth__add(f.g, &s), 0);
		end(&f);
	}
	assert_int_equal(growth__top(f.g, 1, &row), 1);
	assert_int_equal(row.rank, 1);
	assert_int_equal(row.proc, 3);
	assert_int_equal(row.parts, 2);
	assert_int_equal(row.bytes, 51201);
	assert_int_equal(row.objects, 801);
	assert_int_equal(row.delta_bytes, 4 * 6400);
	assert_int_equal(row.delta_objects, 400);
	assert_true(row.bytes_per_s > 25599 && row.bytes_per_s < 25601);
	assert_true(row.bytes_error == 5);
	assert_true(row.oldest_s == 2);
	assert_int_equal(row.survived_full_gcs, 2);
	assert_int_equal(row.survivors, 10);
	assert_int_equal(row.verdict, VERDICT_UNKNOWN);
	teardown(&f);
}

static void five_intervals_make_a_verdict(void **state)
{
	struct growth_totals totals;
	struct growth_row row;
	struct fixture f;
	uint32_t st;

	(void)state;
	setup(&f, GROUP_STACK);
	st = stack(&f, 1, 10);
	for (int t = 1; t <= 5 * TICKS_PER_INTERVAL; t++) {
		begin(&f);
		add(&f, "dict", st, 640 * t);
		end(&f);
		growth__totals(f.g, &totals);
		assert_int_equal(totals.intervals_missing, 5 - t / TICKS_PER_INTERVAL);
	}
	assert_int_equal(growth__top(f.g, 1, &row), 1);
	assert_int_equal(row.verdict, VERDICT_GROWING);
	assert_int_equal(totals.verdicts[VERDICT_GROWING], 1);
	assert_int_equal(totals.rows, 1);
	teardown(&f);
}

/* 100 floats may wait in the interpreter's free list; no more. By type they are no single line's, and are all counted. */
static void what_a_free_list_holds_is_not_growing(void **state)
{
	struct growth_row row;
	struct fixture f;

	(void)state;
	for (int more = 0; more <= 1; more++) {
		for (enum growth_group group = GROUP_STACK; group <= GROUP_TYPE; group++) {
			setup(&f, group);
			for (int t = 1; t <= 5 * TICKS_PER_INTERVAL; t++) {
				struct sample s = {
					.proc = 1, .stack = stack(&f, 1, 10), .type = name(&f, "float"), .bytes = 24 * (5 * t + more),
					.objects = 5 * t + more, .recycled_max = 100,
				};

				begin(&f);
				assert_int_equal(growth__add(f.g, &s), 0);
				end(&f);
			}
			assert_int_equal(growth__top(f.g, 1, &row), 1);
			assert_int_equal(row.objects, 100 + more);
			assert_int_equal(row.verdict, more || group == GROUP_TYPE ? VERDICT_GROWING : VERDICT_UNKNOWN);
			teardown(&f);
		}
	}
}

/* A leak of 64 bytes a tick, a saw and a churn of megabytes, a burst that was kept. */
static void a_small_leak_ranks_first(void **state)
{
	struct growth_row rows[8];
	struct fixture f;
	uint64_t r = 1;

	(void)state;
	setup(&f, GROUP_STACK);
	for (int t = 1; t <= 10 * TICKS_PER_INTERVAL; t++) {
		begin(&f);
		add(&f, "bytes", stack(&f, 1, 1), (int64_t)(1e8 * random__uniform(&r)));
		add(&f, "str", stack(&f, 1, 2), 1000000 * (t % 7));
		add(&f, "tuple", stack(&f, 1, 3), t < 5 ? 0 : 50000000);
		add(&f, "leak.Small", stack(&f, 1, 4), 64 * t);
		end(&f);
	}
	assert_int_equal(growth__top(f.g, 8, rows), 4);
	assert_string_equal(type_of(&f, &rows[0]), "leak.Small");
	for (int i = 1; i < 4; i++)
		assert_int_not_equal(rows[i].verdict, VERDICT_GROWING);
	teardown(&f);
}

static void owners_rank_before_their_buffers(void **state)
{
	static const char *const pairs[][2] = {
		{"dict", "dict keys"}, {"list", "list items"}, {"set", "set table"}, {"app.Session", "dict values"},
	};
	struct growth_row rows[4];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (int ticks = 1; ticks <= 24; ticks += 23) {
			struct fixture f;

			setup(&f, GROUP_STACK);
			for (int t = 1; t <= ticks; t++) {
				begin(&f);
				add(&f, pairs[i][1], stack(&f, 1, 1), 2320 * t);
				add(&f, pairs[i][0], stack(&f, 1, 1), 640 * t);
				add(&f, "str", stack(&f, 1, 1), 960 * t);
				end(&f);
			}
			assert_int_equal(growth__top(f.g, 4, rows), 3);
			assert_string_equal(type_of(&f, &rows[0]), pairs[i][0]);
			assert_string_equal(type_of(&f, &rows[1]), pairs[i][1]);
			assert_int_equal(rows[0].bytes, 640 * ticks);
			teardown(&f);
		}
	}
}

/* One list, and an owner that was seen late: what grows is first. */
static void an_owner_does_not_hide_a_buffer_that_grows(void **state)
{
	struct growth_row rows[2];

	(void)state;
	for (int late = 0; late <= 1; late++) {
		struct fixture f;

		setup(&f, GROUP_STACK);
		for (int t = 1; t <= 24; t++) {
			begin(&f);
			add(&f, "list items", stack(&f, 1, 1), 2320 * t);
			if (!late || t > 22)
				add(&f, "list", stack(&f, 1, 1), late ? 640 * t : 56);
			end(&f);
		}
		assert_int_equal(growth__top(f.g, 2, rows), 2);
		assert_string_equal(type_of(&f, &rows[0]), "list items");
		assert_int_equal(rows[0].verdict, VERDICT_GROWING);
		assert_int_not_equal(rows[1].verdict, VERDICT_GROWING);
		teardown(&f);
	}
}

static void ownership(void **state)
{
	(void)state;
	assert_int_equal(type__owns("dict", "dict keys"), 2);
	assert_int_equal(type__owns("frozenset", "set table"), 2);
	assert_int_equal(type__owns("collections.deque", "deque block"), 2);
	assert_int_equal(type__owns("app.Session", "dict keys"), 1);
	assert_int_equal(type__owns("app.Session", "list items"), 0);
	assert_int_equal(type__owns("list", "dict keys"), 0);
	assert_int_equal(type__owns("str", "dict values"), 0);
}

static size_t rows_of(enum growth_group group)
{
	struct growth_row rows[16];
	struct fixture f;
	size_t cnt;

	setup(&f, group);
	begin(&f);
	/* two library lines, two app lines, two types */
	for (uint32_t i = 0; i < 8; i++)
		add(&f, i & 1 ? "dict" : "list", stack(&f, 1 + (i >> 1 & 1), 10 + (i >> 2)), 64);
	end(&f);
	cnt = growth__top(f.g, 16, rows);
	for (size_t i = 0; i < cnt; i++)
		assert_int_equal(rows[i].parts, 8 / cnt);
	teardown(&f);
	return cnt;
}

static void groups(void **state)
{
	enum growth_group group;

	(void)state;
	assert_int_equal(rows_of(GROUP_STACK), 8);
	assert_int_equal(rows_of(GROUP_LINE), 2);
	assert_int_equal(rows_of(GROUP_FUNCTION), 1);
	assert_int_equal(rows_of(GROUP_TYPE), 2);
	assert_int_equal(rows_of(GROUP_APP), 2);
	assert_int_equal(rows_of(GROUP_PROCESS), 1);
	assert_int_equal(rows_of(GROUP_CONTAINER), 1);
	for (int i = 0; i < GROUP_CNT; i++) {
		assert_int_equal(growth_group__parse(growth_group__name((enum growth_group)i), &group), 0);
		assert_int_equal(group, i);
	}
	assert_int_equal(growth_group__parse("lines", &group), -EINVAL);
}

static void absent_is_zero_and_is_forgotten(void **state)
{
	struct growth_totals totals;
	struct growth_row row;
	struct fixture f;

	(void)state;
	setup(&f, GROUP_STACK);
	/* each row is there for one tick of ten only: a saw */
	for (int t = 1; t <= 100; t++) {
		begin(&f);
		if (t % 10 == 0)
			add(&f, "dict", stack(&f, 1, 1), 1000 * t);
		end(&f);
	}
	assert_int_equal(growth__top(f.g, 1, &row), 1);
	assert_int_equal(row.delta_bytes, 100000);
	assert_int_not_equal(row.verdict, VERDICT_GROWING);
	begin(&f);
	end(&f);
	assert_int_equal(growth__top(f.g, 1, &row), 0);
	for (int t = 0; t < 200; t++) {
		begin(&f);
		end(&f);
	}
	/* new to the tracer: its whole size is new */
	begin(&f);
	add(&f, "dict", stack(&f, 1, 1), 777);
	end(&f);
	growth__totals(f.g, &totals);
	assert_int_equal(totals.rows, 1);
	assert_int_equal(totals.verdicts[VERDICT_UNKNOWN], 1);
	teardown(&f);
}

/* A row that gains BYTES in each tick. */
static enum verdict gaining(const char *type, int bytes)
{
	struct growth_row row;
	struct fixture f;

	setup(&f, GROUP_STACK);
	for (int t = 1; t <= 5 * TICKS_PER_INTERVAL; t++) {
		begin(&f);
		add(&f, type, stack(&f, 1, 1), bytes * t);
		end(&f);
	}
	assert_int_equal(growth__top(f.g, 1, &row), 1);
	teardown(&f);
	return row.verdict;
}

static void a_few_bytes_are_not_growing_yet(void **state)
{
	(void)state;
	assert_int_equal(gaining("dict", 8), VERDICT_WARMING);
	assert_int_equal(gaining("dict", 64), VERDICT_GROWING);
}

/* Of memory that is no object 8 KiB are. */
static void a_few_buffers_are_not_growing_yet(void **state)
{
	(void)state;
	assert_int_equal(gaining("dict keys", 64), VERDICT_WARMING);
	assert_int_equal(gaining("dict keys", 1024), VERDICT_GROWING);
}

static void rss_below_an_old_peak_delays(void **state)
{
	struct growth_row row;
	struct fixture f;

	(void)state;
	for (int higher = 0; higher < 2; higher++) {
		setup(&f, GROUP_STACK);
		for (int t = 1; t <= 6 * TICKS_PER_INTERVAL; t++) {
			begin(&f);
			assert_int_equal(growth__process(f.g, 1, higher && t == 3 ? 500000001 : 400000000, 500000000), 0);
			add(&f, "dict", stack(&f, 1, 1), 1000000 * t);
			end(&f);
		}
		assert_int_equal(growth__top(f.g, 1, &row), 1);
		assert_int_equal(row.verdict == VERDICT_GROWING, higher);
		teardown(&f);
	}
}

/* History is bounded: a day of ticks thins out to what fits, and keeps its lowest and highest. */
static void thinning_loses_no_extremes(void **state)
{
	struct point points[POINTS_MAX];
	size_t cnt = 0;
	uint64_t ticks = 0;
	int64_t min = INT64_MAX, max = INT64_MIN, deepest = 0;

	(void)state;
	for (uint32_t t = 1; t <= 70000; t++) {
		int64_t value = t == 1234 ? 90000000 : t == 1300 ? 17 : 1000 + t;

		if (cnt == POINTS_MAX)
			cnt = points__thin(points, cnt);
		points[cnt++] = point__of(t * TICK_NS, t, value);
	}
	for (size_t i = 0; i < cnt; i++) {
		ticks += points[i].ticks;
		min = points[i].min < min ? points[i].min : min;
		max = points[i].max > max ? points[i].max : max;
		deepest = points[i].drop > deepest ? points[i].drop : deepest;
		if (i) {
			assert_true(points[i].time_ns > points[i - 1].time_ns);
			assert_true(points[i].ticks <= points[i - 1].ticks);
		}
	}
	assert_int_equal(ticks, 70000);
	assert_int_equal(min, 17);
	assert_int_equal(max, 90000000);
	assert_int_equal(deepest, 90000000 - 17);
	assert_int_equal(points[cnt - 1].ticks, 1);
	assert_int_equal(points[cnt - 1].last, 71000);
}

static void slope_and_trend(void **state)
{
	struct point points[20];

	(void)state;
	for (uint32_t t = 0; t < 20; t++)
		points[t] = point__of((t + 1) * 1000000000ULL, 1, 50 + 7 * t);
	/* one wild value must not move it */
	points[10] = point__of(11 * 1000000000ULL, 1, 1000000);
	assert_true(points__slope(points, 20) == 7);
	assert_true(points__slope(points, 1) == 0);
	/* 20 rising values: S = 190, variance 950, so Z = 189 / 30.8 */
	points[10] = point__of(11 * 1000000000ULL, 1, 120);
	assert_true(fabs(points__trend(points, 20) - 189 / sqrt(950)) < 1e-9);
	for (uint32_t t = 0; t < 20; t++)
		points[t] = point__of((t + 1) * 1000000000ULL, 1, 5);
	assert_true(points__trend(points, 20) == 0);
	assert_true(points__noise(points, 20) == 0);
}

static enum verdict end_with_verdict(struct fixture *f)
{
	struct growth_row row;

	assert_int_equal(growth__top(f->g, 1, &row), 1);
	teardown(f);
	return row.verdict;
}

/* A row that rises by ten objects a tick; LIFE_TICKS: how long each lives. */
static enum verdict rising(const char *type, int life_ticks, int64_t garbage_of_ten)
{
	struct fixture f;
	uint32_t st;

	setup(&f, GROUP_STACK);
	st = stack(&f, 1, 10);
	for (int t = 1; t <= 8 * TICKS_PER_INTERVAL; t++) {
		struct sample s = { .proc = 1, .stack = st, .type = name(&f, type), .bytes = 640 * t, .objects = 10 * t, .garbage = garbage_of_ten * t };

		begin(&f);
		if (!strcmp(type, "dict keys"))
			s.objects = t;
		s.type_is_buffer = !strcmp(type, "dict keys") || !strcmp(type, "bytearray buffer");
		s.oldest_ns = f.now - TICK_NS * (t < life_ticks ? t : life_ticks);
		assert_int_equal(growth__add(f.g, &s), 0);
		end(&f);
	}
	return end_with_verdict(&f);
}

static void what_is_leaked_stays(void **state)
{
	(void)state;
	assert_int_equal(rising("Session", 1000, 0), VERDICT_GROWING);
	assert_int_equal(rising("Session", 8 * TICKS_PER_INTERVAL * 2 / 3, 0), VERDICT_GROWING);
}

static void what_is_replaced_is_no_leak(void **state)
{
	(void)state;
	assert_int_equal(rising("Session", 4, 0), VERDICT_WARMING);
	assert_int_equal(rising("Session", 8 * TICKS_PER_INTERVAL / 3, 0), VERDICT_WARMING);
	assert_int_equal(rising("bytearray buffer", 4, 0), VERDICT_WARMING);
	/* the buffer of a container moves */
	assert_int_equal(rising("dict keys", 4, 0), VERDICT_GROWING);
}

static void what_the_collector_will_find_is_no_leak(void **state)
{
	(void)state;
	assert_int_equal(rising("Node", 1000, 6), VERDICT_UNKNOWN);
	assert_int_equal(rising("Node", 1000, 4), VERDICT_GROWING);
}

#define MINUTE (60 * TICKS_PER_INTERVAL)

/* It gains in each tick, then pauses. */
static enum verdict after_a_pause(bool estimated, double error, uint32_t gaining_ticks, uint32_t pause_ticks)
{
	struct fixture f;

	setup(&f, GROUP_STACK);
	for (uint32_t t = 1; t <= gaining_ticks + pause_ticks; t++) {
		uint32_t gained = t < gaining_ticks ? t : gaining_ticks;
		struct sample s = {.proc = 1, .stack = stack(&f, 1, 10), .type = name(&f, "bytes"), .bytes = 64000 * gained, .objects = 100 * gained,
				   .estimated = estimated, .bytes_error = error};

		begin(&f);
		assert_int_equal(growth__add(f.g, &s), 0);
		end(&f);
	}
	return end_with_verdict(&f);
}

static void an_estimate_rises_by_steps(void **state)
{
	(void)state;
	assert_int_equal(after_a_pause(false, 0, MINUTE, 0), VERDICT_GROWING);
	assert_int_equal(after_a_pause(false, 0, MINUTE, TICKS_PER_INTERVAL), VERDICT_WARMING);
	assert_int_equal(after_a_pause(true, 1000, MINUTE, TICKS_PER_INTERVAL), VERDICT_GROWING);
	assert_int_equal(after_a_pause(true, 1000, MINUTE, 12 * TICKS_PER_INTERVAL), VERDICT_WARMING);
}

static void an_estimate_may_rise_by_chance(void **state)
{
	const uint32_t soon = 12 * TICKS_PER_INTERVAL;

	(void)state;
	assert_int_equal(after_a_pause(false, 1000, soon, 0), VERDICT_GROWING);
	assert_int_equal(after_a_pause(true, 1000, soon, 0), VERDICT_WARMING);
	assert_int_equal(after_a_pause(true, 1000, MINUTE, 0), VERDICT_GROWING);
	assert_int_equal(after_a_pause(true, 64000.0 * MINUTE, MINUTE, 0), VERDICT_WARMING);
}

/* As seen of a program that ended while it was being imported at the last tick: the row was number 80. */
static void at_the_end_what_came_last_counts(void **state)
{
	static const int64_t bytes[] = { 640, 64000, 64000, 64000 };
	struct growth_row rows[2];
	struct fixture f;
	uint32_t st;

	(void)state;
	setup(&f, GROUP_STACK);
	st = stack(&f, 1, 10);
	begin(&f);
	add(&f, "Cache", st, 6400);
	end(&f);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		begin(&f);
		add(&f, "Cache", st, 6400 * (i + 2));
		add(&f, "Table", st, bytes[i]);
		end(&f);
		f.now -= TICK_NS - 1000; /* the looks at a process that ends follow each other at once */
	}
	assert_int_equal(growth__top(f.g, 2, rows), 2);
	assert_string_equal(type_of(&f, &rows[0]), "Cache");
	growth__finish(f.g);
	begin(&f);
	add(&f, "Cache", st, 6400 * 5);
	add(&f, "Table", st, 64000);
	end(&f);
	assert_int_equal(growth__top(f.g, 2, rows), 2);
	assert_string_equal(type_of(&f, &rows[0]), "Table");
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_leaked_stays),
		cmocka_unit_test(what_is_replaced_is_no_leak),
		cmocka_unit_test(what_the_collector_will_find_is_no_leak),
		cmocka_unit_test(numbers_of_a_row),
		cmocka_unit_test(five_intervals_make_a_verdict),
		cmocka_unit_test(a_small_leak_ranks_first),
		cmocka_unit_test(owners_rank_before_their_buffers),
		cmocka_unit_test(an_owner_does_not_hide_a_buffer_that_grows),
		cmocka_unit_test(ownership),
		cmocka_unit_test(groups),
		cmocka_unit_test(absent_is_zero_and_is_forgotten),
		cmocka_unit_test(a_few_bytes_are_not_growing_yet),
		cmocka_unit_test(a_few_buffers_are_not_growing_yet),
		cmocka_unit_test(rss_below_an_old_peak_delays),
		cmocka_unit_test(what_a_free_list_holds_is_not_growing),
		cmocka_unit_test(thinning_loses_no_extremes),
		cmocka_unit_test(slope_and_trend),
		cmocka_unit_test(at_the_end_what_came_last_counts),
		cmocka_unit_test(an_estimate_rises_by_steps),
		cmocka_unit_test(an_estimate_may_rise_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
