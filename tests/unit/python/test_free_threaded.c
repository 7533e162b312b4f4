// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This program plays a Py_GIL_DISABLED build. */
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
int _Py_DecRefShared;
const unsigned long Py_Version = 0x030d01f0;

static void is_refused_by_name(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	assert_int_equal(py_interp__open(&py, getpid(), why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "free-threaded"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
