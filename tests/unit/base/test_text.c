// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"
#include "utf8.h"

static void adds_and_formats(void **state)
{
	struct text t = {0};

	(void)state;
	text__add(&t, "ab\0c", 4);
	assert_int_equal(t.len, 4);
	assert_memory_equal(t.s, "ab\0c", 5);
	text__clear(&t);
	for (int i = 0; i < 1000; i++)
		text__addf(&t, "%03d,", i);
	assert_int_equal(t.len, 4000);
	assert_string_equal(t.s + 3996, "999,");
	assert_false(t.failed);
	text__free(&t);
	assert_null(t.s);
	text__free(&t);
}

static const char *clean(const char *in, size_t len)
{
	static char out[256];

	size_t written = text__clean(out, sizeof(out), in, len);

	assert_int_equal(written, strlen(out));
	return out;
}

static void cleans(void **state)
{
	(void)state;
	assert_string_equal(clean("plain", 5), "plain");
	assert_string_equal(clean("\x1b[2J\n\t\0x", 8), "\\x1b[2J\\x0a\\x09\\x00x");
	assert_string_equal(clean("\xc2\x9b" "2J", 4), "\\x9b2J");
	assert_string_equal(clean("\xe2\x80\xae" "abc", 6), "\\u202eabc");
	assert_string_equal(clean("\xf3\xa0\x81\x81", 4), "\\U000e0041");
	assert_string_equal(clean("na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac", 13), "na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac");
	/* invalid: lone, overlong, surrogate, cut short */
	assert_string_equal(clean("\xff\xc0\xaf", 3), "\\xff\\xc0\\xaf");
	assert_string_equal(clean("\xed\xa0\x80", 3), "\\xed\\xa0\\x80");
	assert_string_equal(clean("a\xe6\x97", 3), "a\\xe6\\x97");
}

static void clean_cuts_at_a_character(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(text__clean(out, 6, "abc\xe6\x97\xa5" "d", 7), 3);
	assert_string_equal(out, "abc");
	assert_int_equal(text__clean(out, 7, "abc\xe6\x97\xa5" "d", 7), 6);
	assert_int_equal(text__clean(out, 5, "ab\x1b", 3), 2);
	assert_int_equal(text__clean(out, 1, "abc", 3), 0);
	assert_int_equal(text__clean(NULL, 0, "abc", 3), 0);
}

static void clean_of_any_bytes_is_safe(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char in[40], out[64];
		size_t len, step;

		for (size_t i = 0; i < sizeof(in); i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			in[i] = (char)(seed >> 40);
		}
		len = text__clean(out, (seed >> 50) % sizeof(out) + 1, in, sizeof(in));
		assert_int_equal(strlen(out), len);
		for (size_t i = 0; i < len; i += step) {
			uint32_t c;

			step = utf8__decode(out + i, len - i, &c);
			assert_int_not_equal(step, 0);
			assert_false(utf8__is_unsafe(c));
		}
	}
}

static void counts_columns(void **state)
{
	(void)state;
	assert_int_equal(text__columns(""), 0);
	assert_int_equal(text__columns("abc"), 3);
	assert_int_equal(text__columns("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two ideographs */
	assert_int_equal(text__columns("e\xcc\x81"), 1);                /* e and an acute accent */
	assert_int_equal(text__columns("\xf0\x9f\x90\x8d"), 2);         /* a snake */
	assert_int_equal(text__columns("\xe2\x80\xa6"), 1);             /* an ellipsis */
}

static void encodes_what_it_decodes(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		char s[4];
		size_t len = utf8__encode(s, c);
		uint32_t back = 0;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		assert_int_equal(utf8__decode(s, len, &back), len);
		assert_int_equal(back, c);
	}
}

static void parses_bytes(void **state)
{
	static const struct {
		const char *s;
		uint64_t bytes;
	} good[] = {
		{"0", 0}, {"512", 512}, {"10k", 10240}, {"1.5MiB", 1572864}, {"2 GiB", 2147483648ULL}, {"1KB", 1024}, {"7B", 7},
		{"18446744073709551615", UINT64_MAX}, {".5k", 512},
	};
	static const char *const bad[] = {"", "k", "-1", "1.5", "1x", "1kk", "0x10", "inf", "nan", "1 2", "1,5k", "."};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(units__parse_bytes(good[i].s, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(units__parse_bytes(bad[i], &bytes), -EINVAL);
	assert_int_equal(units__parse_bytes("18446744073709551616", &bytes), -ERANGE);
	assert_int_equal(units__parse_bytes("16EiB", &bytes), -ERANGE);
}

static void parses_seconds(void **state)
{
	static const struct {
		const char *s;
		double seconds;
	} good[] = {{"5", 5}, {"2.5s", 2.5}, {"500ms", 0.5}, {"10m", 600}, {"1h", 3600}, {"0", 0}, {"1d", 86400}};
	static const char *const bad[] = {"", "s", "-1", "1x", "1e3", "inf", "1:30"};
	double seconds;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(units__parse_seconds(good[i].s, &seconds), 0);
		assert_true(seconds == good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(units__parse_seconds(bad[i], &seconds), -EINVAL);
	assert_int_equal(units__parse_seconds("99999999999h", &seconds), -ERANGE);
}

static void formats_bytes(void **state)
{
	static const struct {
		double bytes;
		const char *s;
	} want[] = {
		{0, "0 B"}, {512, "512 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {-3072, "-3.0 KiB"}, {1258291, "1.2 MiB"},
		{1048570, "1.0 MiB"}, {1023.7, "1.0 KiB"}, {-0.2, "0 B"}, {1e30, ">999 EiB"},
		{-1e30, "<-999 EiB"},
	};
	uint64_t seed = 5;
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_string_equal(units__format_bytes(out, want[i].bytes), want[i].s);
	for (int i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		assert_true(strlen(units__format_bytes(out, (double)(int64_t)seed / (double)(1ULL << (seed >> 58)))) <= 11);
	}
}

static void formats_seconds(void **state)
{
	static const struct {
		double seconds;
		const char *s;
	} want[] = {
		{0, "0 s"}, {-5, "0 s"}, {0.4, "0 s"}, {45, "45 s"}, {119.4, "119 s"}, {119.6, "2 min"}, {200, "3 min 20 s"},
		{599.4, "9 min 59 s"}, {599.6, "10 min"}, {3300, "55 min"}, {3569, "59 min"}, {3571, "1 h"}, {4800, "1 h 20 min"},
		{7200, "2 h"}, {86369, "23 h 59 min"}, {86371, "1 d"}, {183600, "2 d 3 h"}, {365 * 86400.0, "365 d"},
		{365 * 86400.0 + 1, "over a year"}, {1e300, "over a year"}, {INFINITY, "never"}, {NAN, "never"},
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_string_equal(units__format_seconds(out, want[i].seconds), want[i].s);
	for (double seconds = 0.01; seconds < 1e10; seconds *= 1.003)
		assert_true(strlen(units__format_seconds(out, seconds)) <= 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_and_formats),
		cmocka_unit_test(cleans),
		cmocka_unit_test(clean_cuts_at_a_character),
		cmocka_unit_test(clean_of_any_bytes_is_safe),
		cmocka_unit_test(counts_columns),
		cmocka_unit_test(encodes_what_it_decodes),
		cmocka_unit_test(parses_bytes),
		cmocka_unit_test(parses_seconds),
		cmocka_unit_test(formats_bytes),
		cmocka_unit_test(formats_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
