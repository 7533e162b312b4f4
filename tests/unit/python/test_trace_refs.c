// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This program plays a Py_TRACE_REFS build. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "python.h"

/* Under the names that such a build exports. */
uint64_t _PyRuntime[64];
int _Py_NegativeRefcount, _Py_PrintReferences;
char version_text[] = "3.11.9+ (main, May  9 2026, 00:00:00) [GCC 12.2.0]";

static void is_refused_by_name(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	assert_int_equal(py_interp__open(&py, getpid(), why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "3.11.9+ in process"));
	assert_non_null(strstr(why, "Py_TRACE_REFS"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
