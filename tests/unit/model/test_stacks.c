// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "intern.h"
#include "stacks.h"

static void strings_have_one_id(void **state)
{
	struct intern *in = intern__new();
	const char *first;
	uint32_t a, b, c;
	size_t len;

	(void)state;
	assert_int_equal(intern__string(in, "dict", &a), 0);
	assert_int_equal(intern__string(in, "list", &b), 0);
	assert_int_equal(intern__id(in, "dict", 4, &c), 0);
	assert_int_equal(a, c);
	assert_int_not_equal(a, b);
	assert_string_equal(intern__get(in, b, &len), "list");
	assert_int_equal(len, 4);
	assert_int_equal(intern__string(in, "", &c), 0);
	assert_int_equal(c, 0);
	assert_string_equal(intern__get(in, 123456, &len), "");
	assert_int_equal(intern__id(in, "a\0b", 3, &b), 0);
	assert_int_equal(intern__id(in, "a", 1, &c), 0);
	assert_int_not_equal(b, c);
	/* pointers stay good */
	first = intern__get(in, a, NULL);
	for (int i = 0; i < 100000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "module.Type%d", i);
		assert_int_equal(intern__string(in, name, &b), 0);
		assert_int_equal(intern__cnt(in), b + 1);
	}
	assert_ptr_equal(first, intern__get(in, a, NULL));
	assert_string_equal(first, "dict");
	assert_int_equal(intern__string(in, "module.Type777", &c), 0);
	assert_string_equal(intern__get(in, c, NULL), "module.Type777");
	assert_int_equal(intern__cnt(in), b + 1);
	intern__free(in);
	intern__free(NULL);
}

static void origins(void **state)
{
	static const struct {
		const char *file;
		enum file_origin origin;
	} want[] = {
		{"/srv/app.py", FILE_APP},
		{"app.py", FILE_APP},
		{"/usr/lib/python3.11/json/decoder.py", FILE_LIBRARY},
		{"/usr/local/lib/python3.8/threading.py", FILE_LIBRARY},
		{"/usr/lib64/python3.13t/asyncio/events.py", FILE_LIBRARY},
		{"/opt/lib/python311.zip/json/decoder.py", FILE_LIBRARY},
		{"/usr/lib/python3/dist-packages/yaml/__init__.py", FILE_LIBRARY},
		{"/venv/lib/python3.11/site-packages/flask/app.py", FILE_LIBRARY},
		{"<frozen importlib._bootstrap>", FILE_LIBRARY},
		{"", FILE_LIBRARY},
		{"<string>", FILE_NO_FILE},
		{"<stdin>", FILE_NO_FILE},
		{"/srv/python3.11/app.py", FILE_APP},
		{"/home/me/lib/python3.11-stuff/app.py", FILE_APP},
		{"/srv/lib/pythonic/app.py", FILE_APP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(file__origin(want[i].file), want[i].origin);
}

static void finds_the_app_frame(void **state)
{
	static const char *const files[] = {"/usr/lib/python3.11/copy.py", "<string>", "/srv/app.py", "/srv/main.py"};
	struct intern *in = intern__new();
	struct stacks *st = stacks__new(in);
	struct frame f[4];
	uint32_t all, no_app, library, again;
	size_t cnt;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		f[i] = (struct frame){.line = i + 1};
		assert_int_equal(intern__string(in, files[i], &f[i].file), 0);
	}
	assert_int_equal(stacks__id(st, f, 4, &all), 0);
	assert_int_equal(stacks__id(st, f, 2, &no_app), 0);
	assert_int_equal(stacks__id(st, f, 1, &library), 0);
	assert_int_equal(stacks__id(st, f, 4, &again), 0);
	assert_int_equal(all, again);
	assert_int_equal(stacks__app_frame(st, all), 2);
	assert_int_equal(stacks__app_frame(st, no_app), 1);
	assert_int_equal(stacks__app_frame(st, library), 0);
	assert_int_equal(stacks__app_frame(st, 99), 0);
	assert_memory_equal(stacks__get(st, all, &cnt), f, sizeof(f));
	assert_int_equal(cnt, 4);
	stacks__get(st, 0, &cnt);
	assert_int_equal(cnt, 0);
	f[0].line = 99;
	assert_int_equal(stacks__id(st, f, 4, &again), 0);
	assert_int_not_equal(all, again);
	for (uint32_t i = 0; i < 1000; i++) {
		f[3].line = i;
		assert_int_equal(stacks__id(st, f, 4, &again), 0);
		assert_int_equal(stacks__app_frame(st, again), 2);
	}
	stacks__free(st);
	stacks__free(NULL);
	intern__free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_have_one_id),
		cmocka_unit_test(origins),
		cmocka_unit_test(finds_the_app_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
