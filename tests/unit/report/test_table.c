// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_matters),
		cmocka_unit_test(says_when_there_is_nothing_to_say),
		cmocka_unit_test(warns),
		cmocka_unit_test(long_names_keep_their_end),
		cmocka_unit_test(color_only_when_asked),
		cmocka_unit_test(any_text_in_any_width),
		cmocka_unit_test(numbers_align),
		cmocka_unit_test(pieces_of_text_do_not_split_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
