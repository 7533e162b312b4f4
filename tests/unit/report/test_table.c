// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "census_view.h"
#include "fixture.h"
#include "line.h"
#include "table.h"
#include "utf8.h"

static struct text print(const struct fixture *f, int width, bool color, bool verbose)
{
	struct table_opts opts = {.width = width, .color = color, .verbose = verbose};
	struct text t = {0};

	table__print(&f->s, &opts, &t);
	assert_false(t.failed);
	return t;
}

/* Nothing that drives a terminal but newlines (and SGR in colour); no line wider than WIDTH. */
static void check(const struct text *t, int width, bool color)
{
	char *copy = strdup(t->s);

	for (char *line = copy, *end; (end = strchr(line, '\n')); line = end + 1) {
		char *in = line, *out = line;

		*end = '\0';
		for (; *in; in++) {
			if (*in == '\033' && color) {
				assert_int_equal(in[1], '[');
				in += 2 + strspn(in + 2, "0123456789;");
				assert_int_equal(*in, 'm');
				continue;
			}
			*out++ = *in;
		}
		*out = '\0';
		for (size_t i = 0, step, len = strlen(line); i < len; i += step) {
			uint32_t c;

			step = utf8__decode(line + i, len - i, &c);
			assert_int_not_equal(step, 0);
			assert_false(utf8__is_unsafe(c));
		}
		if (width)
			assert_in_range(text__columns(line), 0, width);
	}
	free(copy);
}

static bool has(const struct text *t, const char *s)
{
	return strstr(t->s, s);
}

static void says_what_matters(void **state)
{
	struct fixture f;
	struct text t;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	t = print(&f, 80, false, false);
	check(&t, 80, false);
	assert_true(has(&t, "17:50:00"));
	assert_true(has(&t, "4242"));
	assert_true(has(&t, "3.11.2"));
	assert_true(has(&t, "GROWING"));
	assert_true(has(&t, "/srv/app.py:12 handle"));
	assert_true(has(&t, "in /usr/lib/python3.11/copy.py:100 deepcopy"));
	assert_true(has(&t, "512.0 KiB"));
	assert_true(has(&t, "+64.0 KiB"));
	assert_true(has(&t, "+12.8 KiB/s"));
	assert_true(has(&t, "12/1/0"));
	assert_true(has(&t, "/srv/main.py:107 run"));
	assert_false(has(&t, "/srv/main.py:108 run"));
	assert_true(has(&t, "4 more"));
	/* the answer comes before the numbers, the user's line before the library's */
	assert_true(strstr(t.s, "GROWING") < strstr(t.s, "RSS"));
	assert_true(strstr(t.s, "/srv/app.py:12") < strstr(t.s, "copy.py:100"));
	text__free(&t);
	t = print(&f, 80, false, true);
	assert_true(has(&t, "/srv/main.py:111 run"));
	text__free(&t);
	fixture__free(&f);
}

static void says_when_there_is_nothing_to_say(void **state)
{
	struct fixture f;
	struct text t;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	memset(&f.s.totals, 0, sizeof(f.s.totals));
	f.s.rows_cnt = 0;
	t = print(&f, 80, false, false);
	assert_true(has(&t, "nothing grows"));
	text__free(&t);
	f.s.totals.intervals_missing = 3;
	t = print(&f, 80, false, false);
	assert_true(has(&t, "no verdict yet: 3 more intervals (15 s)"));
	text__free(&t);
	f.s.totals.intervals_missing = 0;
	f.s.totals.rows = 8;
	f.s.totals.verdicts[VERDICT_WARMING] = 2;
	t = print(&f, 80, false, false);
	assert_true(has(&t, "2 of 8 rows still warming up"));
	text__free(&t);
	fixture__free(&f);
}

static void warns(void **state)
{
	struct snapshot_counter more = {.name = "samples", .sentence = "samples: the budget was used up", .value = 5};
	struct fixture f;
	struct text t;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	t = print(&f, 80, false, false);
	assert_false(has(&t, "LOST"));
	assert_false(has(&t, "PARTIAL"));
	text__free(&t);
	f.s.lost_events = 12;
	f.s.lost_stacks = 1;
	f.s.lost_more = &more;
	f.s.lost_more_cnt = 1;
	f.s.processes_cnt = 2;
	t = print(&f, 0, false, false);
	assert_true(has(&t, "LOST 12 events"));
	assert_true(has(&t, "LOST 1 stacks"));
	assert_true(has(&t, "LOST 5 samples: the budget was used up"));
	assert_true(has(&t, "PARTIAL pid 4243"));
	assert_true(has(&t, "inlined allocators"));
	text__free(&t);
	fixture__free(&f);
}

/* The text without line ends and the blanks that follow them: how it was wrapped does not matter. */
static char *unwrapped(const struct text *t)
{
	char *out = strdup(t->s), *to = out;

	for (const char *in = t->s; *in; in++) {
		*to++ = *in == '\n' ? ' ' : *in;
		if (*in == '\n')
			in += strspn(in + 1, " ");
	}
	*to = '\0';
	return out;
}

static bool says(const struct fixture *f, int width, bool verbose, const char *sentence)
{
	struct text t = print(f, width, false, verbose);
	char *line = unwrapped(&t);
	bool found = strstr(line, sentence);

	check(&t, width, false);
	text__free(&t);
	free(line);
	return found;
}

static void says_when_memory_ends(void **state)
{
	static const char sentence[] = "RSS +1.2 MiB/min; cgroup limit 512.0 MiB reached in 1 h 23 min (56 min - 2 h 13 min); restart every 40 min "
				       "keeps it alive";
	struct fixture f;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	for (int width = 60; width < 120; width++)
		assert_true(says(&f, width, false, sentence));
	assert_true(says(&f, 0, false, sentence));
	assert_true(says(&f, 80, true, "RSS +1.2 MiB/min (768.0 KiB/min to 1.8 MiB/min); cgroup limit"));
	assert_true(says(&f, 80, true, "; 100.0 MiB left "));
	f.p[0].forecast.earliest_s = 4990;
	f.p[0].forecast.latest_s = 5008;
	assert_true(says(&f, 80, false, "reached in 1 h 23 min; restart"));
	f.p[0].forecast.earliest_s = 3333.3;
	f.p[0].limit_shared_by = 4;
	assert_true(says(&f, 80, true, "; 100.0 MiB left for 4 processes traced "));
	f.p[0].limit_kind = "cgroup-high";
	f.p[0].forecast.latest_s = INFINITY;
	f.p[0].forecast.restart_every_s = 0;
	assert_true(says(&f, 80, false, "cgroup's memory.high 512.0 MiB reached in 1 h 23 min (56 min - never) outstanding"));
	f.p[0].limit_partial = true;
	assert_true(says(&f, 80, false, "(there may be a lower one above its cgroup)"));
	f.p[0].limit_headroom_bytes = 0;
	assert_true(says(&f, 80, false, "memory.high 512.0 MiB is reached"));
	fixture__free(&f);
}

static void says_what_was_sampled(void **state)
{
	struct fixture f;
	struct text t;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	f.s.rows_cnt = FIXTURE_ROWS;
	f.rows[2].bytes = 64;
	assert_false(says(&f, 0, false, "recorded"));
	assert_false(says(&f, 0, false, "sampled"));
	assert_false(says(&f, 0, false, "±"));
	assert_false(says(&f, 0, false, "about"));
	assert_true(says(&f, 0, false, "(no Python stack)"));
	fixture__sample(&f);
	assert_true(says(&f, 0, false, "budget mode  tracing costs 0.8 % CPU"));
	assert_true(says(&f, 0, false, " sampled 5.8 % of the work in 32 bursts, 12 lookouts, 318 blocks followed; mean cost 0.88 % CPU, slowed for 6.1 ms at most "
				       "outstanding since attach: about 1.0 MiB in 9000 objects "));
	assert_true(says(&f, 0, false, "GROWING dict (±34 %)"));
	/* that of the row which is exact */
	assert_true(says(&f, 0, false, "stable  dict "));
	/* of what is in no sample the type and the number are known, but not who */
	assert_true(says(&f, 0, false, "unknown dict (line not known yet: its allocation is in no sample)"));
	assert_false(says(&f, 0, false, "no Python stack"));
	f.s.sampling.longest_pause_s = 0;
	assert_false(says(&f, 0, false, "slowed"));
	f.s.sampling.fraction = 1;
	assert_true(says(&f, 0, false, " every allocation was recorded; mean cost 0.88 % CPU outstanding since attach: 1.0 MiB in"));
	/* the error is never cut off: the type yields */
	for (int width = 72; width < 120; width++) {
		char long_type[200];

		memset(long_type, 'p', sizeof(long_type));
		strcpy(long_type + sizeof(long_type) - 9, ".Session");
		intern__string(f.strings, long_type, &f.rows[0].type);
		t = print(&f, width, false, false);
		check(&t, width, false);
		assert_true(has(&t, " (±34 %)\n"));
		text__free(&t);
	}
	f.rows[0].bytes_error = 1e12;
	assert_true(says(&f, 0, false, "(±999 %)"));
	fixture__free(&f);
}

static void says_nothing_of_what_does_not_grow(void **state)
{
	struct fixture f;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	f.p[0].rss_slope = (struct slope){TREND_NOT_GROWING, 100, -300, 500};
	assert_false(says(&f, 80, false, "cgroup"));
	assert_true(says(&f, 80, true, "RSS does not grow (-1.0 MiB/h to 1.7 MiB/h); cgroup limit 512.0 MiB; 100.0 MiB left"));
	f.p[0].rss_slope.trend = TREND_UNKNOWN;
	assert_false(says(&f, 80, false, "cgroup"));
	assert_true(says(&f, 80, true, "RSS: no forecast yet; cgroup limit 512.0 MiB"));
	/* whose limit is not known cannot be said to reach it */
	f.p[0].rss_slope.trend = TREND_GROWING;
	f.p[0].limit_kind = NULL;
	assert_false(says(&f, 80, false, "limit"));
	assert_true(says(&f, 80, true, "its limit cannot be seen from here"));
	fixture__free(&f);
}

/* More than fit: the one that is first at its limit, not the fastest. */
static void of_many_the_soonest(void **state)
{
	struct snapshot_process many[6];
	struct fixture f;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	for (int i = 0; i < 6; i++) {
		many[i] = f.p[0];
		many[i].pid = 100 + i;
		many[i].forecast.earliest_s = 1000 + i % 2 * 50;
	}
	many[4].forecast.earliest_s = 900;
	many[5].forecast.earliest_s = 10;
	many[5].gone = true;
	f.s.processes = many;
	f.s.processes_cnt = 6;
	assert_true(says(&f, 80, false, "soonest at its limit: pid 104, RSS +1.2 MiB/min; cgroup limit 512.0 MiB reached in"));
	assert_false(says(&f, 80, false, "soonest at its limit: pid 105"));
	assert_true(says(&f, 0, true, "pid 104 python3"));
	assert_false(says(&f, 0, true, "soonest"));
	many[4].rss_slope.trend = TREND_NOT_GROWING;
	assert_true(says(&f, 80, false, "soonest at its limit: pid 100,"));
	fixture__free(&f);
}

static void says_which_container(void **state)
{
	struct fixture f;
	struct text t;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	t = print(&f, 0, false, false);
	assert_false(has(&t, "container"));
	text__free(&t);
	f.s.processes_cnt = 2;
	t = print(&f, 0, false, false);
	assert_true(has(&t, "\n  in docker container 0123456789ab of pod 11111111-2222-3333-4444-555555555555\n"));
	text__free(&t);
	f.p[1].container = "web\033[2J";
	f.p[1].container_runtime = f.p[1].pod_uid = NULL;
	t = print(&f, 0, false, false);
	check(&t, 0, false);
	assert_true(has(&t, "\n  in container web\\x1b[2J\n"));
	text__free(&t);
	f.p[1].gone = true;
	t = print(&f, 0, false, false);
	assert_false(has(&t, "container"));
	text__free(&t);
	fixture__free(&f);
}

static void long_names_keep_their_end(void **state)
{
	char file[4096], type[4096];
	struct fixture f;
	struct text t;

	(void)state;
	memset(file, 'd', sizeof(file));
	memset(type, 'p', sizeof(type));
	file[0] = '/';
	strcpy(file + sizeof(file) - 12, "/worker.py");
	strcpy(type + sizeof(type) - 12, ".Session");
	fixture__make(&f, file, "handle", type);
	t = print(&f, 80, false, false);
	check(&t, 80, false);
	assert_true(has(&t, "/worker.py:12 handle"));
	assert_true(has(&t, ".Session"));
	text__free(&t);
	/* not a terminal: whole */
	t = print(&f, 0, false, false);
	assert_true(has(&t, file));
	assert_true(has(&t, type));
	text__free(&t);
	fixture__free(&f);
}

static void color_only_when_asked(void **state)
{
	struct fixture f;
	struct text plain, color;

	(void)state;
	fixture__make(&f, "/srv/\033[2Japp.py", "handle", "dict");
	plain = print(&f, 80, false, false);
	assert_null(strchr(plain.s, '\033'));
	assert_true(has(&plain, "/srv/\\x1b[2Japp.py:12"));
	color = print(&f, 80, true, false);
	assert_non_null(strchr(color.s, '\033'));
	check(&color, 80, true);
	assert_null(strstr(color.s, "\033[2J"));
	text__free(&plain);
	text__free(&color);
	fixture__free(&f);
}

static uint64_t seed = 77;

static unsigned int random_below(unsigned int n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(seed >> 33) % n;
}

static void random_name(char *out, size_t size)
{
	static const char *const nasty[] = {
		"\033]0;x\a", "\n", "\r", "\xe2\x80\xae", "\xc2\x9b", "\xff", "\xe6\x97\xa5", "\xf0\x9f\x90\x8d", "e\xcc\x81",
		"/", ".", "module", "\xe2\x80\x8b", "\xef\xbb\xbf", "%s%n", "\x7f",
	};
	size_t len = 0, want = random_below(10) ? random_below(60) : random_below((unsigned int)size);

	out[0] = '\0';
	while (len < want) {
		const char *piece = nasty[random_below(sizeof(nasty) / sizeof(nasty[0]))];

		if (len + strlen(piece) + 1 >= size)
			break;
		strcpy(out + len, piece);
		len += strlen(piece);
	}
}

static void any_text_in_any_width(void **state)
{
	static char file[4200], function[4200], type[4200], note[4200];

	(void)state;
	for (int round = 0; round < 1500; round++) {
		struct fixture f;
		struct text t;
		int width = 1 + (int)random_below(round % 2 ? 30 : 200);
		bool color = random_below(2);

		random_name(file, sizeof(file));
		random_name(function, sizeof(function));
		random_name(type, sizeof(type));
		random_name(note, sizeof(note));
		fixture__make(&f, file, function, type);
		if (random_below(2))
			fixture__sample(&f);
		f.s.rows_cnt = FIXTURE_ROWS;
		f.s.processes_cnt = 1 + random_below(2);
		f.s.group = (enum growth_group)random_below(GROUP_CNT);
		f.p[0].comm = f.p[0].python = note;
		f.p[1].coverage_note = note;
		t = print(&f, width, color, random_below(2));
		check(&t, width, color);
		text__free(&t);
		fixture__free(&f);
	}
}

static void numbers_align(void **state)
{
	struct fixture f;
	struct text t;
	const char *head, *row;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	f.s.rows_cnt = FIXTURE_ROWS;
	t = print(&f, 80, false, false);
	head = strstr(t.s, "  # ");
	assert_non_null(head);
	row = strchr(head, '\n') + 1;
	assert_ptr_equal(strstr(row, "GROWING") - row, strstr(head, "verdict") - head);
	assert_ptr_equal(strstr(row, "dict") - row, strstr(head, "type") - head);
	/* the largest numbers there are do not push the columns */
	row = strstr(t.s, "\n  2 ") + 1;
	assert_ptr_equal(strstr(row, "stable") - row, strstr(head, "verdict") - head);
	text__free(&t);
	fixture__free(&f);
}

static void pieces_of_text_do_not_split_characters(void **state)
{
	struct text raw = {0}, clean = {0};

	(void)state;
	for (int i = 0; i < 500; i++)
		text__add(&raw, i % 7 ? "\xf0\x9f\x90\x8d" : "x", i % 7 ? 4 : 1);
	text__add_clean(&clean, raw.s, raw.len);
	assert_string_equal(clean.s, raw.s);
	text__free(&raw);
	text__free(&clean);
}

static void a_census_is_clean_and_fits(void **state)
{
	static const int widths[] = {0, 20, 60, 80, 120};
	const struct census_type_row rows[] = {
		{.type = "some.package.with.a.long.name.Session", .objects = 2345, .bytes = 112560, .owned_bytes = 544040, .largest_bytes = 2048,
		 .uncollectable = 3, .delta_known = true, .delta_objects = -12, .bytes_per_s = 1e300, .verdict = VERDICT_GROWING},
		{.type = NULL, .objects = INT64_MAX, .bytes = INT64_MAX, .owned_bytes = INT64_MAX, .uncollectable = -1, .delta_known = true,
		 .delta_objects = INT64_MIN},
		{.type = "evil\033[2J\n\xff\u202e", .objects = 1},
	};
	struct census_view v = {
		.pid = 4242, .comm = "py\033]0;x\007", .python = "3.11.2", .grade = CENSUS_TORN, .torn = 3, .retried = 9, .coverage_note = "no\nwhere",
		.rows = rows, .rows_cnt = 3, .objects = 2346, .bytes = 1000000, .hidden_types = 4, .memory = {.known = true, .rss_bytes = 9000000},
		.arenas = {.known = true, .bytes_each = 1 << 20, .cnt = 39, .sparse_cnt = 38, .kept_by = {{"evil\033[2J\n", 399}, {NULL, 3}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		for (int color = 0; color < 2; color++) {
			struct table_opts opts = {.width = widths[i], .color = color};
			struct text t = {0};

			v.interval_s = i % 2 ? 5 : 0;
			census_view__table(&v, &opts, &t);
			assert_false(t.failed);
			check(&t, widths[i], color);
			if (!widths[i]) {
				assert_true(has(&t, "some.package.with.a.long.name.Session (3 uncollectable)"));
				assert_true(has(&t, "(type unknown)") && has(&t, "torn, 3 pools") && has(&t, "PARTIAL"));
			}
			text__free(&t);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_census_is_clean_and_fits),
		cmocka_unit_test(says_what_matters),
		cmocka_unit_test(says_when_there_is_nothing_to_say),
		cmocka_unit_test(warns),
		cmocka_unit_test(says_when_memory_ends),
		cmocka_unit_test(says_what_was_sampled),
		cmocka_unit_test(says_nothing_of_what_does_not_grow),
		cmocka_unit_test(of_many_the_soonest),
		cmocka_unit_test(says_which_container),
		cmocka_unit_test(long_names_keep_their_end),
		cmocka_unit_test(color_only_when_asked),
		cmocka_unit_test(any_text_in_any_width),
		cmocka_unit_test(numbers_align),
		cmocka_unit_test(pieces_of_text_do_not_split_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
