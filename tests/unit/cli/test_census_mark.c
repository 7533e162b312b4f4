// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which look decides what has survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "census_mark.h"

static void the_last_look_that_is_old_enough(void **state)
{
	const struct census_look looks[] = { { 1, 100, 3 }, { 2, 200, 3 }, { 3, 300, 4 }, { 4, 400, 6 } };
	struct census_mark m = { 0 };

	(void)state;
	assert_null(census_mark__last(&m, 1000, 1000));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(census_mark__add(&m, &looks[i]), 0);
	/* nothing but the mark */
	assert_int_equal(census_mark__last(&m, 50, UINT64_MAX)->reading, 1);
	assert_int_equal(census_mark__last(&m, UINT64_MAX, 0)->reading, 1);
	assert_int_equal(census_mark__last(&m, 199, UINT64_MAX)->reading, 1);
	assert_int_equal(census_mark__last(&m, UINT64_MAX, 3)->reading, 2);
	assert_int_equal(census_mark__last(&m, 300, 5)->reading, 3);
	/* what lies before it is forgotten, the mark is not */
	assert_int_equal(m.cnt, 3);
	assert_int_equal(m.looks[0].reading, 1);
	assert_int_equal(census_mark__last(&m, 350, UINT64_MAX)->reading, 3);
	assert_int_equal(census_mark__last(&m, UINT64_MAX, UINT64_MAX)->reading, 4);
	assert_int_equal(m.cnt, 2);
	census_mark__free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_look_that_is_old_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
