// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout.h"

static void all_wanted_fields_are_in_the_window(void **state)
{
	struct walk_layout w;

	(void)state;
	for (int minor = 8; minor <= 13; minor++) {
		assert_non_null(py_layout__find(3, minor));
		py_layout__walk(py_layout__find(3, minor), &w);
		assert_true(w.frame_code_off <= FRAME_WINDOW_BYTES - 8);
		assert_true(w.frame_back_off <= FRAME_WINDOW_BYTES - 8);
		assert_true(w.frame_lasti_off <= FRAME_WINDOW_BYTES - (w.lasti_kind == LASTI_POINTER ? 8 : 4));
		assert_true(w.frame_owner_off == WALK_NONE || w.frame_owner_off <= FRAME_WINDOW_BYTES - 1);
		assert_true((w.lasti_kind == LASTI_POINTER) == (w.code_instr_off != WALK_NONE));
		assert_true(!w.preheader_flags == !w.preheader_bytes);
	}
}

static void unknown_versions_have_none(void **state)
{
	(void)state;
	assert_null(py_layout__find(3, 7));
	assert_null(py_layout__find(3, 14));
	assert_null(py_layout__find(2, 10));
}

static void where_values_are_differs(void **state)
{
	(void)state;
	assert_int_equal(py_layout__managed(py_layout__find(3, 10)), MANAGED_NONE);
	assert_int_equal(py_layout__managed(py_layout__find(3, 11)), MANAGED_VALUES_WORD);
	assert_int_equal(py_layout__managed(py_layout__find(3, 12)), MANAGED_TAGGED_WORD);
	assert_int_equal(py_layout__managed(py_layout__find(3, 13)), MANAGED_INLINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_wanted_fields_are_in_the_window),
		cmocka_unit_test(unknown_versions_have_none),
		cmocka_unit_test(where_values_are_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
