// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "version.h"

#define FROM_TEXT(s, v) version__from_text(s, sizeof(s) - 1, v)

static void hex(void **state)
{
	struct py_version v;

	(void)state;
	version__from_hex(0x030b02f0, &v);
	assert_string_equal(v.text, "3.11.2");
	assert_int_equal(v.major, 3);
	assert_int_equal(v.minor, 11);
	assert_int_equal(v.patch, 2);
	version__from_hex(0x030d00c1, &v);
	assert_string_equal(v.text, "3.13.0rc1");
	version__from_hex(0x030e00a7, &v);
	assert_string_equal(v.text, "3.14.0a7");
	version__from_hex(0xffffffffffffffff, &v);
}

static void text_of_all_styles(void **state)
{
	struct py_version v;

	(void)state;
	assert_int_equal(FROM_TEXT("x\0" "3.8.18 (default, May  9 2026, 01:02:03) \n[GCC 12.2.0]\0", &v), 0);
	assert_string_equal(v.text, "3.8.18");
	assert_int_equal(v.patch, 18);
	assert_int_equal(FROM_TEXT("\0\0" "3.11.2 (main, Mar 13 2023, 12:18:29) [GCC 12.2.0]\0", &v), 0);
	assert_string_equal(v.text, "3.11.2");
	assert_int_equal(FROM_TEXT("\0" "2.7.18 (default, May 1 2026) \n[GCC]\0", &v), 0);
	assert_int_equal(v.major, 2);
	assert_int_equal(FROM_TEXT("\0" "3.9.0rc2+ (heads/3.9-dirty:abc, May 1 2026) \n[Clang 14]\0", &v), 0);
	assert_string_equal(v.text, "3.9.0rc2+");
}

static void other_texts(void **state)
{
	struct py_version v;

	(void)state;
	assert_int_equal(FROM_TEXT("\0" "3.40.1 \0 3.8.18\0", &v), -ENOENT);
	assert_int_equal(FROM_TEXT("\0" "3.8.18 (default, cut", &v), -ENOENT);
	assert_int_equal(FROM_TEXT("\0" "13.8.18 (a) [b]", &v), -ENOENT);
	assert_int_equal(FROM_TEXT("\0" "Python 3.8.18 (a) [b]", &v), -ENOENT);
	assert_int_equal(FROM_TEXT("((((((((((((((((((", &v), -ENOENT);
	assert_int_equal(FROM_TEXT("\0" "3.8 (a) [b]", &v), -ENOENT);
	assert_int_equal(version__from_text("", 0, &v), -ENOENT);
	/* the first is none, the second is */
	assert_int_equal(FROM_TEXT("f (x) [y]\0" "3.10.13 (a) [b]", &v), 0);
	assert_int_equal(v.minor, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex),
		cmocka_unit_test(text_of_all_styles),
		cmocka_unit_test(other_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
