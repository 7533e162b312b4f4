// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which mode a command line chooses, and its bounds. That wrong ones are refused is tested with the tool itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

#define WORDS_MAX 16

static void parse(const char *line, struct options *o)
{
	static char copy[256];
	char *argv[WORDS_MAX + 1] = { "pyleak-bpf" }, *save = NULL;
	int argc = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *word = strtok_r(copy, " ", &save); word && argc < WORDS_MAX; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	options__parse(argc, argv, o);
}

static void the_mode(void **state)
{
	static const struct {
		const char *line;
		double budget_pct; /* 0: exact */
	} cases[] = {
		{ "-p 1", 1 },
		{ "trace -p 1", 1 },
		{ "-p 1 --children", 1 },
		{ "-a", 1 },
		{ "run -- cmd", 0 },
		{ "run --budget 2 -- cmd", 2 },
		{ "run --mode budget -- cmd", 1 },
		{ "run --mode exact -- cmd --budget 3", 0 },
		{ "-p 1 --mode exact", 0 },
		{ "-a --mode exact", 0 },
		{ "-p 1 --mode budget", 1 },
		{ "-p 1 --mode exact --mode budget", 1 },
		{ "-p 1 --mode budget --budget 5", 5 },
		{ "-p 1 --budget 0.01", 0.01 },
		{ "-p 1 --budget 50", 50 },
		{ "-p 1 --budget 0.5%", 0.5 },
		{ "-p 1 --budget=2.5", 2.5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;

		parse(cases[i].line, &o);
		if (o.budget_pct != cases[i].budget_pct)
			fail_msg("%s: %g %%", cases[i].line, o.budget_pct);
		assert_true(o.max_pause_s == 0.01);
		options__free(&o);
	}
}

static void the_pause(void **state)
{
	static const struct {
		const char *line;
		double max_pause_s;
	} cases[] = {
		{ "-p 1 --max-pause 5ms", 0.005 },
		{ "-p 1 --max-pause 1ms", 0.001 },
		{ "-p 1 --max-pause 0.25", 0.25 },
		{ "-p 1 --max-pause 10s", 10 },
		{ "-p 1 --mode exact", 0.01 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;

		parse(cases[i].line, &o);
		assert_float_equal(o.max_pause_s, cases[i].max_pause_s, 1e-12);
		options__free(&o);
	}
}

static void census(void **state)
{
	struct options o;

	(void)state;
	parse("census -p 1", &o);
	assert_int_equal(o.command, CMD_CENSUS);
	assert_int_equal(o.top, 30);
	assert_true(o.every_s == 0 && !o.floor && !o.filter);
	options__free(&o);
	parse("census -p 1,2 --json --every 500ms -d 1m --floor 100 --filter ^app[.]", &o);
	assert_int_equal(o.pids_cnt, 2);
	assert_int_equal(o.top, 0);
	assert_true(o.every_s == 0.5 && o.duration_s == 60);
	assert_int_equal(o.floor, 100);
	assert_string_equal(o.filter, "^app[.]");
	options__free(&o);
	parse("census --core a/core --floor 2", &o);
	assert_string_equal(o.core, "a/core");
	assert_int_equal(o.pids_cnt, 0);
	options__free(&o);
	parse("census --json -n 5 -p 1", &o);
	assert_int_equal(o.top, 5);
	options__free(&o);
	parse("-p 1 --json", &o);
	assert_int_equal(o.top, 10);
	options__free(&o);
}

static void what_has_survived(void **state)
{
	struct options o;

	(void)state;
	parse("census -p 1 --new-since 1m --survived 20s", &o);
	assert_true(o.new_since_s == 60 && o.survived_s == 20);
	assert_int_equal(o.survived_gcs, 0);
	options__free(&o);
	parse("census -p 1 --new-since 30 --survived 2", &o);
	assert_true(o.new_since_s == 30 && o.survived_s == 0);
	assert_int_equal(o.survived_gcs, 2);
	options__free(&o);
	parse("-p 1 --survived 3", &o);
	assert_int_equal(o.survived_gcs, 3);
	options__free(&o);
}

static void the_fraction(void **state)
{
	struct options o;

	(void)state;
	parse("census -p 1", &o);
	assert_true(o.sample == 0 && !o.freeze);
	options__free(&o);
	parse("census -p 1 --sample 0.25", &o);
	assert_true(o.sample == 0.25);
	options__free(&o);
	parse("census -p 1 --sample 5% --freeze", &o);
	assert_true(o.sample == 0.05 && o.freeze && o.max_pause_s == 0.01);
	options__free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(census),
		cmocka_unit_test(the_mode),
		cmocka_unit_test(the_pause),
		cmocka_unit_test(what_has_survived),
		cmocka_unit_test(the_fraction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
