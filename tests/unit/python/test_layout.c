// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout.h"

static const int versions[][3] = {
	{ 2, 7, 18 }, { 3, 6, 8 }, { 3, 6, 15 }, { 3, 7, 3 }, { 3, 7, 17 }, { 3, 8, 0 }, { 3, 9, 0 }, { 3, 10, 0 }, { 3, 11, 0 },
	{ 3, 12, 0 }, { 3, 13, 0 }, { 3, 14, 0 },
};

static void all_wanted_fields_are_in_the_window(void **state)
{
	struct walk_layout w;

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const struct py_layout *l = py_layout__find_patch(versions[i][0], versions[i][1], versions[i][2]);

		assert_non_null(l);
		py_layout__walk(l, &w);
		assert_true(w.frame_window_bytes <= FRAME_WINDOW_BYTES);
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
	assert_null(py_layout__find(3, 5));
	assert_null(py_layout__find(3, 15));
	assert_null(py_layout__find(2, 6));
	assert_null(py_layout__find(2, 10));
}

/* bpo-27987, 3.7.4 */
static void gc_heads_grew_in_a_patch_version(void **state)
{
	(void)state;
	assert_int_equal(py_layout__find_patch(3, 7, 3)->gc_head, 24);
	assert_int_equal(py_layout__find_patch(3, 7, 4)->gc_head, 32);
	assert_int_equal(py_layout__find(3, 7)->gc_head, 32);
	assert_int_equal(py_layout__find_patch(3, 8, 0)->gc_head, 16);
}

static void where_values_are_differs(void **state)
{
	(void)state;
	assert_int_equal(py_layout__managed(py_layout__find(3, 10)), MANAGED_NONE);
	assert_int_equal(py_layout__managed(py_layout__find(3, 11)), MANAGED_VALUES_WORD);
	assert_int_equal(py_layout__managed(py_layout__find(3, 12)), MANAGED_TAGGED_WORD);
	assert_int_equal(py_layout__managed(py_layout__find(3, 13)), MANAGED_INLINE);
	assert_int_equal(py_layout__managed(py_layout__find(3, 14)), MANAGED_INLINE);
	assert_int_equal(py_layout__managed(py_layout__find(2, 7)), MANAGED_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_wanted_fields_are_in_the_window),
		cmocka_unit_test(unknown_versions_have_none),
		cmocka_unit_test(gc_heads_grew_in_a_patch_version),
		cmocka_unit_test(where_values_are_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
