// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
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
#include "json_reader.h"
#include "json_writer.h"
#include "text.h"

static void writes_values(void **state)
{
	struct text t = {0};
	struct json_writer w = json__to(&t);

	(void)state;
	json__object_begin(&w);
	json__key(&w, "a");
	json__array_begin(&w);
	json__int(&w, INT64_MIN);
	json__uint(&w, UINT64_MAX);
	json__bool(&w, true);
	json__null(&w);
	json__string(&w, NULL);
	json__object_begin(&w);
	json__object_end(&w);
	json__array_begin(&w);
	json__array_end(&w);
	json__array_end(&w);
	json__key(&w, "b");
	json__string(&w, "x");
	json__object_end(&w);
	assert_string_equal(t.s, "{\"a\":[-9223372036854775808,18446744073709551615,true,null,null,{},[]],\"b\":\"x\"}");
	text__free(&t);
}

static void escapes(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} want[] = {
		{"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
		{"\0\n\x1b\x7f", 4, "\"\\u0000\\u000a\\u001b\\u007f\""},
		{"\xc2\x85", 2, "\"\\u0085\""},
		{"\xe2\x80\xa8", 3, "\"\\u2028\""},
		{"\xc3\xa4\xf0\x9f\x90\x8d", 6, "\"\xc3\xa4\xf0\x9f\x90\x8d\""},
		{"x\xff\xc0\xafy", 5, "\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\""},
		{"\xe6\x97", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct text t = {0};
		struct json_writer w = json__to(&t);

		json__bytes(&w, want[i].in, want[i].len);
		assert_string_equal(t.s, want[i].out);
		text__free(&t);
	}
}

static const char *double_text(double value)
{
	static char out[64];
	struct text t = {0};
	struct json_writer w = json__to(&t);

	json__double(&w, value);
	snprintf(out, sizeof(out), "%s", t.s);
	text__free(&t);
	return out;
}

static void doubles_are_short_and_exact(void **state)
{
	uint64_t seed = 1;

	(void)state;
	assert_string_equal(double_text(0.1), "0.1");
	assert_string_equal(double_text(13107.2), "13107.2");
	assert_string_equal(double_text(0), "0");
	assert_string_equal(double_text(-5), "-5");
	assert_string_equal(double_text(NAN), "null");
	assert_string_equal(double_text(INFINITY), "null");
	assert_string_equal(double_text(-INFINITY), "null");
	for (int i = 0; i < 20000; i++) {
		double value;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		memcpy(&value, &seed, sizeof(value));
		if (isfinite(value))
			assert_true(strtod(double_text(value), NULL) == value);
	}
}

static struct node *read_line(const struct text *t)
{
	const char *p = t->s;
	struct node *n = node__read(&p);

	assert_non_null(n);
	assert_string_equal(p, "\n");
	return n;
}

static void snapshot_has_what_it_says(void **state)
{
	struct text t = {0};
	struct fixture f;
	struct node *n, *grower, *process, *frame, *limit, *forecast;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	f.s.processes_cnt = 2;
	f.s.rows_cnt = 3;
	snapshot__json(&f.s, &t);
	n = read_line(&t);
	assert_string_equal(node__get(n, "schema")->string, "pyleak-bpf/snapshot/1");
	assert_string_equal(node__get(n, "time")->string, "2026-11-20T17:50:00.123Z");
	assert_string_equal(node__get(n, "mode")->string, "exact");
	process = node__get(n, "processes")->first;
	assert_int_equal(atoi(node__get(process, "pid")->text), 4242);
	assert_string_equal(node__get(process, "coverage")->string, "full");
	assert_null(node__get(process, "coverage_note"));
	assert_int_equal(node__get(process, "container")->kind, 'n');
	assert_int_equal(node__get(process, "container_runtime")->kind, 'n');
	assert_int_equal(node__get(process, "pod_uid")->kind, 'n');
	assert_string_equal(node__get(process->next, "container")->string, f.p[1].container);
	assert_string_equal(node__get(process->next, "container_runtime")->string, "docker");
	assert_string_equal(node__get(process->next, "pod_uid")->string, "11111111-2222-3333-4444-555555555555");
	assert_int_equal(atoi(node__get(node__get(process, "gc"), "collections")->first->text), 12);
	assert_string_equal(node__get(process->next, "coverage")->string, "partial");
	assert_string_equal(node__get(process->next, "coverage_note")->string, "inlined allocators");
	assert_int_equal(node__get(process->next, "rss_bytes")->kind, 'n');
	assert_int_equal(node__get(process->next, "gc")->kind, 'n');
	limit = node__get(process, "memory_limit");
	assert_string_equal(node__get(limit, "kind")->string, "cgroup");
	assert_int_equal(atoi(node__get(limit, "bytes")->text), 512 << 20);
	assert_int_equal(atoi(node__get(limit, "headroom_bytes")->text), 100 << 20);
	forecast = node__get(process, "forecast");
	assert_string_equal(node__get(forecast, "trend")->string, "growing");
	assert_true(atof(node__get(forecast, "low")->text) == 13107.2);
	assert_true(atof(node__get(forecast, "limit_in_s")->text) == 5000);
	assert_true(atof(node__get(forecast, "limit_in_s_latest")->text) == 8000);
	assert_true(atof(node__get(forecast, "restart_every_s")->text) == 2400);
	/* too early, and no limit known */
	assert_int_equal(node__get(process->next, "memory_limit")->kind, 'n');
	forecast = node__get(process->next, "forecast");
	assert_string_equal(node__get(forecast, "trend")->string, "unknown");
	assert_int_equal(node__get(forecast, "rss_bytes_per_s")->kind, 'n');
	assert_int_equal(node__get(forecast, "limit_in_s_earliest")->kind, 'n');
	assert_int_equal(node__get(forecast, "restart_every_s")->kind, 'n');
	grower = node__get(n, "growers")->first;
	assert_int_equal(atoi(node__get(grower, "pid")->text), 4242);
	assert_string_equal(node__get(grower, "type")->string, "dict");
	assert_string_equal(node__get(grower, "verdict")->string, "growing");
	assert_int_equal(atoi(node__get(grower, "delta_bytes")->text), 65536);
	frame = node__get(grower, "stack")->first->next;
	assert_string_equal(node__get(frame, "file")->string, "/srv/app.py");
	assert_string_equal(node__get(frame, "function")->string, "handle");
	assert_int_equal(atoi(node__get(frame, "line")->text), 12);
	assert_memory_equal(node__get(grower->next, "bytes")->text, "9223372036854775807,", 20);
	/* unknown process, type, stack and age */
	grower = grower->next->next;
	assert_int_equal(node__get(grower, "pid")->kind, 'n');
	assert_int_equal(node__get(grower, "type")->kind, 'n');
	assert_int_equal(node__get(grower, "oldest_s")->kind, 'n');
	assert_null(node__get(grower, "stack")->first);
	node__free(n);
	text__free(&t);
	fixture__free(&f);
}

static bool schema_allows(const struct node *schema, const struct node *value)
{
	static const struct {
		char kind;
		const char *name;
	} names[] = {{'{', "object"}, {'[', "array"}, {'"', "string"}, {'0', "number"}, {'t', "boolean"}, {'n', "null"}};
	const struct node *type = node__get(schema, "type");
	const char *name = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (value->kind == names[i].kind)
			name = names[i].name;
	for (const struct node *t = type->kind == '[' ? type->first : type; t; t = type->kind == '[' ? t->next : NULL) {
		if (!strcmp(t->string, name))
			return true;
		if (!strcmp(t->string, "integer") && value->kind == '0')
			return value->text[strspn(value->text, "-0123456789")] != '.';
	}
	return false;
}

static void conforms(const struct node *schema, const struct node *value)
{
	const struct node *allowed = node__get(schema, "enum"), *required = node__get(schema, "required");
	bool found = !allowed;

	if (!schema_allows(schema, value))
		fail_msg("type of %s", value->key);
	if (value->kind == 'n')
		return;
	for (const struct node *v = allowed ? allowed->first : NULL; v; v = v->next)
		found |= !strcmp(v->string, value->string);
	if (!found)
		fail_msg("value of %s", value->key);
	for (const struct node *r = required ? required->first : NULL; r; r = r->next)
		if (!node__get(value, r->string))
			fail_msg("%s has no %s", value->key, r->string);
	for (const struct node *v = value->first; v; v = v->next) {
		const struct node *s = value->kind == '[' ? node__get(schema, "items")
							  : node__get(node__get(schema, "properties"), v->key);

		if (!s && value->kind == '{')
			s = node__get(schema, "additionalProperties");
		if (!s)
			fail_msg("%s is not in the schema", v->key);
		conforms(s, v);
	}
}

static void snapshot_conforms_to_its_schema(void **state)
{
	struct snapshot_counter more = {.name = "samples", .value = 3};
	struct text t = {0}, schema = {0};
	struct fixture f;
	struct node *n, *s;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	f.s.processes_cnt = 2;
	f.s.rows_cnt = 3;
	f.s.lost_more = &more;
	f.s.lost_more_cnt = 1;
	snapshot__json(&f.s, &t);
	snapshot__json_schema(&schema);
	n = read_line(&t);
	s = read_line(&schema);
	assert_string_equal(node__get(s, "$schema")->string, "https://json-schema.org/draft/2020-12/schema");
	conforms(s, n);
	/* the other way round: everything that must be there, by the schema, exists; and a wrong value is noticed */
	assert_non_null(node__get(node__get(node__get(s, "properties"), "growers"), "items"));
	assert_false(schema_allows(node__get(node__get(s, "properties"), "final"), node__get(n, "mode")));
	node__free(n);
	node__free(s);
	text__free(&t);
	text__free(&schema);
	fixture__free(&f);
}

static void census_conforms_to_its_schema(void **state)
{
	const struct census_type_row rows[] = {
		{.type = "app.Session", .objects = 2345, .tracked = 2345, .bytes = 112560, .owned_bytes = 544040, .largest_bytes = 2048,
		 .objects_error = 7, .new_known = true, .new_objects = 44, .new_owned_bytes = 4400, .delta_known = true, .delta_objects = 12, .delta_bytes = 576, .delta_owned_bytes = -3000, .bytes_per_s = 57.5, .verdict = VERDICT_GROWING},
		{.type = NULL, .objects = INT64_MAX, .bytes = INT64_MAX, .owned_bytes = INT64_MAX, .uncollectable = -1},
		{.type = "evil\033[2J\n\xff\"", .objects = 1},
	};
	struct census_view v = {
		.time_unix_ns = 1763661000123000000, .elapsed_s = 10, .interval_s = 5, .pid = 4242, .core = "core\x1b.4242", .comm = "python3", .python = "3.11.2",
		.news = {.wanted = true, .mark_s = 30.5, .survived_gcs = 2, .full_gcs = 3, .full_gcs_known = true}, .sample = 0.25, .clusters_read = 130, .clusters = 1000, .grade = CENSUS_NEAR, .ran = true, .ran_known = true, .frozen = CENSUS_FROZEN_SIGNAL, .frozen_s = 0.0101, .freeze_ended = true, .coverage_note = "a part was swapped out", .rows = rows, .rows_cnt = 3,
		.memory = {.known = true, .libc_known = true, .rss_bytes = 9000000, .libc_used_bytes = 5},
		.arenas = {.known = true, .bytes_each = 1 << 20, .cnt = 39, .sparse_cnt = 38, .kept_by = {{"app.Session", 399}, {NULL, 3}}},
	};
	struct text t = {0}, schema = {0};
	struct node *n, *s, *row;

	(void)state;
	census_view__json_schema(&schema);
	s = read_line(&schema);
	census_view__json(&v, &t);
	n = read_line(&t);
	conforms(s, n);
	assert_string_equal(node__get(n, "schema")->string, "pyleak-bpf/census/1");
	assert_string_equal(node__get(n, "core")->string, "core\x1b.4242");
	assert_string_equal(node__get(n, "time")->string, "2025-11-20T17:50:00.123Z");
	assert_string_equal(node__get(n, "coverage")->string, "partial");
	assert_string_equal(node__get(node__get(n, "consistency"), "grade")->string, "near");
	assert_string_equal(node__get(node__get(n, "consistency"), "frozen_by")->string, "signal");
	assert_true(atof(node__get(node__get(n, "consistency"), "frozen_s")->text) == 0.0101);
	assert_int_equal(node__get(node__get(n, "consistency"), "freeze_ended")->kind, 't');
	row = node__get(n, "types")->first;
	assert_string_equal(node__get(row, "type")->string, "app.Session");
	assert_string_equal(node__get(row, "verdict")->string, "growing");
	assert_true(atof(node__get(row, "objects_error")->text) == 7);
	assert_true(atof(node__get(row, "new_objects")->text) == 44);
	assert_int_equal(node__get(row->next, "new_objects")->kind, 'n');
	assert_true(atof(node__get(node__get(n, "new_since"), "mark_s")->text) == 30.5);
	assert_int_equal(node__get(node__get(n, "new_since"), "survived_s")->kind, 'n');
	assert_true(atof(node__get(node__get(n, "new_since"), "survived_full_gcs")->text) == 2);
	assert_true(atof(node__get(node__get(n, "sample"), "fraction")->text) == 0.25);
	assert_true(atof(node__get(row, "delta_owned_bytes")->text) == -3000);
	assert_true(atof(node__get(row, "uncollectable")->text) == 0);
	assert_int_equal(node__get(row->next, "type")->kind, 'n');
	assert_int_equal(node__get(row->next, "delta_bytes")->kind, 'n');
	assert_int_equal(node__get(row->next, "uncollectable")->kind, 'n');
	assert_int_equal(node__get(node__get(n, "memory"), "python_live_bytes")->kind, 'n');
	row = node__get(node__get(n, "arenas"), "kept_by")->first;
	assert_string_equal(node__get(row, "type")->string, "app.Session");
	assert_int_equal(node__get(row->next, "type")->kind, 'n');
	assert_null(row->next->next);
	node__free(n);
	/* the first reading, of a process of which little is known */
	text__clear(&t);
	v = (struct census_view){.pid = 1};
	census_view__json(&v, &t);
	n = read_line(&t);
	conforms(s, n);
	assert_int_equal(node__get(n, "interval_s")->kind, 'n');
	assert_int_equal(node__get(n, "new_since")->kind, 'n');
	assert_int_equal(node__get(n, "arenas")->kind, 'n');
	assert_string_equal(node__get(n, "coverage")->string, "full");
	assert_null(node__get(n, "coverage_note"));
	assert_null(node__get(n, "core"));
	node__free(n);
	node__free(s);
	text__free(&t);
	text__free(&schema);
}

/* What budget mode has to go by is told in budget mode only, and all of it is in the schema. */
static void budget_mode_says_what_it_did(void **state)
{
	static const struct {
		const char *key;
		double value;
	} want[] = {{"target_cpu_pct", 0.8}, {"target_cpu_mean_pct", 0.88}, {"longest_pause_s", 0.0061}, {"bursts", 32}, {"lookouts", 12}, {"samples", 318},
		    {"sampled_fraction", 0.058}, {"reused_fraction", 0.03}};
	struct text exact = {0}, budget = {0}, schema = {0};
	struct node *n, *s, *overhead;
	struct fixture f;

	(void)state;
	fixture__make(&f, "/srv/app.py", "handle", "dict");
	snapshot__json(&f.s, &exact);
	n = read_line(&exact);
	for (size_t i = 1; i < sizeof(want) / sizeof(want[0]); i++)
		assert_null(node__get(node__get(n, "overhead"), want[i].key));
	assert_true(atof(node__get(node__get(n, "growers")->first, "bytes_error")->text) == 0);
	node__free(n);
	fixture__sample(&f);
	f.s.rows_cnt = 3;
	snapshot__json(&f.s, &budget);
	snapshot__json_schema(&schema);
	n = read_line(&budget);
	s = read_line(&schema);
	conforms(s, n);
	assert_string_equal(node__get(n, "mode")->string, "budget");
	overhead = node__get(n, "overhead");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_non_null(node__get(overhead, want[i].key));
		assert_true(atof(node__get(overhead, want[i].key)->text) == want[i].value);
		assert_non_null(node__get(node__get(node__get(node__get(s, "properties"), "overhead"), "properties"), want[i].key));
	}
	assert_true(atof(node__get(node__get(n, "growers")->first, "bytes_error")->text) == 180000);
	node__free(n);
	node__free(s);
	text__free(&exact);
	text__free(&budget);
	text__free(&schema);
	fixture__free(&f);
}

/* Known to grow, but not for how long it may; known not to grow; never is null, too. */
static void what_is_not_known_is_null(void **state)
{
	static const struct {
		struct slope slope;
		const char *kind;
		struct forecast forecast;
		char rate, in, latest, restart; /* kinds of nodes */
	} cases[] = {
		{{TREND_GROWING, 5, 4, 6}, NULL, {INFINITY, INFINITY, INFINITY, 0}, '0', 'n', 'n', 'n'},
		{{TREND_NOT_GROWING, 5, -4, 16}, "host", {INFINITY, INFINITY, INFINITY, 0}, '0', 'n', 'n', 'n'},
		{{TREND_GROWING, 5, 4, 6}, "host", {10, 5, INFINITY, 0}, '0', '0', 'n', 'n'},
		{{TREND_GROWING, 5, 4, 6}, "data", {0, 0, 0, 60}, '0', '0', '0', '0'},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text t = {0};
		struct fixture f;
		struct node *n, *forecast;

		fixture__make(&f, "/srv/app.py", "handle", "dict");
		f.p[0].rss_slope = cases[i].slope;
		f.p[0].limit_kind = cases[i].kind;
		f.p[0].forecast = cases[i].forecast;
		snapshot__json(&f.s, &t);
		n = read_line(&t);
		forecast = node__get(node__get(n, "processes")->first, "forecast");
		assert_int_equal(node__get(forecast, "rss_bytes_per_s")->kind, cases[i].rate);
		assert_int_equal(node__get(forecast, "limit_in_s")->kind, cases[i].in);
		assert_int_equal(node__get(forecast, "limit_in_s_latest")->kind, cases[i].latest);
		assert_int_equal(node__get(forecast, "restart_every_s")->kind, cases[i].restart);
		node__free(n);
		text__free(&t);
		fixture__free(&f);
	}
}

static void hostile_text_stays_in_its_string(void **state)
{
	uint64_t seed = 9;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct text t = {0};
		struct fixture f;
		struct node *n;
		char name[200];

		for (size_t i = 0; i < sizeof(name) - 1; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			name[i] = (char)(seed >> 33);
			if (!name[i])
				name[i] = '"';
		}
		name[sizeof(name) - 1] = '\0';
		fixture__make(&f, name, name, name);
		f.p[0].cmdline = name;
		snapshot__json(&f.s, &t);
		assert_null(memchr(t.s, '\n', t.len - 1));
		n = read_line(&t);
		assert_string_equal(node__get(node__get(n, "growers")->first, "verdict")->string, "growing");
		node__free(n);
		text__free(&t);
		fixture__free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_values),
		cmocka_unit_test(escapes),
		cmocka_unit_test(doubles_are_short_and_exact),
		cmocka_unit_test(snapshot_has_what_it_says),
		cmocka_unit_test(snapshot_conforms_to_its_schema),
		cmocka_unit_test(census_conforms_to_its_schema),
		cmocka_unit_test(budget_mode_says_what_it_did),
		cmocka_unit_test(what_is_not_known_is_null),
		cmocka_unit_test(hostile_text_stays_in_its_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
