// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "code.h"

#define TABLE(...) ((const unsigned char[]){ __VA_ARGS__ }), sizeof((const unsigned char[]){ __VA_ARGS__ })

static void lnotab_counts_on_until_lasti(void **state)
{
	(void)state;
	/* line 10 from 0, 11 from 6, 15 from 10, 12 from 12 */
	assert_int_equal(pyline__lnotab(TABLE(6, 1, 4, 4, 2, 0xfd), 10, 0), 10);
	assert_int_equal(pyline__lnotab(TABLE(6, 1, 4, 4, 2, 0xfd), 10, 5), 10);
	assert_int_equal(pyline__lnotab(TABLE(6, 1, 4, 4, 2, 0xfd), 10, 6), 11);
	assert_int_equal(pyline__lnotab(TABLE(6, 1, 4, 4, 2, 0xfd), 10, 10), 15);
	assert_int_equal(pyline__lnotab(TABLE(6, 1, 4, 4, 2, 0xfd), 10, 5000), 12);
}

static void lnotab_before_the_start_is_the_first_line(void **state)
{
	(void)state;
	assert_int_equal(pyline__lnotab(TABLE(0, 3, 2, 1), 7, -1), 7);
	assert_int_equal(pyline__lnotab(TABLE(0, 3, 2, 1), 7, 0), 10);
	assert_int_equal(pyline__lnotab(NULL, 0, 7, 20), 7);
}

static void lnotab_long_steps_are_several_entries(void **state)
{
	(void)state;
	/* 300 bytes and 200 lines further: Objects/lnotab_notes.txt */
	assert_int_equal(pyline__lnotab(TABLE(255, 0, 45, 127, 0, 73), 1, 299), 1);
	assert_int_equal(pyline__lnotab(TABLE(255, 0, 45, 127, 0, 73), 1, 300), 201);
}

static void lines_of_27_only_go_up(void **state)
{
	(void)state;
	assert_int_equal(pyline__unsigned(TABLE(6, 1, 4, 200), 10, 5), 10);
	assert_int_equal(pyline__unsigned(TABLE(6, 1, 4, 200), 10, 6), 11);
	assert_int_equal(pyline__unsigned(TABLE(6, 1, 4, 200), 10, 10), 211);
	assert_int_equal(pyline__unsigned(TABLE(255, 0, 45, 255, 0, 45), 1, 300), 301);
	assert_int_equal(pyline__unsigned(NULL, 0, 7, -1), 7);
}

static void lnotab_odd_byte_is_ignored(void **state)
{
	(void)state;
	assert_int_equal(pyline__lnotab(TABLE(2, 1, 2), 1, 100), 2);
}

static void linetable310_ranges(void **state)
{
	(void)state;
	/* Objects/lnotab_notes.txt: 0-6 line 1, 6-50 line 2, 50-350 line 7, 350-360 none, 360-376 line 8 */
	const unsigned char table[] = { 6, 0, 44, 1, 254, 5, 46, 0, 10, 0x80, 16, 1 };

	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, -1), 1);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 0), 1);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 6), 2);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 50), 7);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 349), 7);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 350), 0);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 360), 8);
	assert_int_equal(pyline__linetable310(table, sizeof(table), 1, 376), 0);
}

static void linetable310_empty_entries_move_the_line(void **state)
{
	(void)state;
	assert_int_equal(pyline__linetable310(TABLE(2, 0, 0, 127, 0, 127, 2, 1), 1, 2), 256);
	assert_int_equal(pyline__linetable310(TABLE(2, 0, 0, 0x81, 2, 1), 200, 2), 74);
}

static void locations_of_every_form(void **state)
{
	(void)state;
	const unsigned char table[] = {
		0xf8,			/* none, 1 unit: 0 */
		0x80 | 13 << 3, 0x02,	/* no columns, +1: 2 */
		0x80 | 3 << 3, 0x25,	/* short form: 4 */
		0x80 | 11 << 3 | 1, 4, 9,	/* one line +1, 2 units: 6 */
		0x80 | 14 << 3, 0x43, 0x03, 0x01, 0x01, 0x02, /* long form, -97: 10 */
	};

	assert_int_equal(pyline__locations(table, sizeof(table), 100, -2), 100);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 0), 0);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 2), 101);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 4), 101);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 6), 102);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 9), 102);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 10), 5);
	assert_int_equal(pyline__locations(table, sizeof(table), 100, 12), 0);
}

static void locations_cut_short(void **state)
{
	(void)state;
	assert_int_equal(pyline__locations(TABLE(0x80 | 13 << 3), 9, 0), 9);
	assert_int_equal(pyline__locations(TABLE(0x80 | 14 << 3, 0x7f, 0x7f), 9, 2), 0);
	assert_int_equal(pyline__locations(NULL, 0, 9, 0), 0);
	/* an endless number: no shift out of range */
	assert_true(pyline__locations(TABLE(0xe8, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f), 9, 0) >= 0);
}

static void no_table_leads_to_a_negative_line(void **state)
{
	unsigned char table[64];

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		size_t size = rand() % (sizeof(table) + 1);
		int first = rand() % 3 ? rand() % 1000 : i % 2 ? INT_MIN : INT_MAX, lasti = rand() % 300 - 3;

		for (size_t k = 0; k < size; k++)
			table[k] = rand();
		assert_true(pyline__unsigned(table, size, first, lasti) >= 0);
		assert_true(pyline__lnotab(table, size, first, lasti) >= 0);
		assert_true(pyline__linetable310(table, size, first, lasti) >= 0);
		assert_true(pyline__locations(table, size, first, lasti) >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lnotab_counts_on_until_lasti),
		cmocka_unit_test(lnotab_before_the_start_is_the_first_line),
		cmocka_unit_test(lnotab_long_steps_are_several_entries),
		cmocka_unit_test(lines_of_27_only_go_up),
		cmocka_unit_test(lnotab_odd_byte_is_ignored),
		cmocka_unit_test(linetable310_ranges),
		cmocka_unit_test(linetable310_empty_entries_move_the_line),
		cmocka_unit_test(locations_of_every_form),
		cmocka_unit_test(locations_cut_short),
		cmocka_unit_test(no_table_leads_to_a_negative_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
