// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "python.h"
#include "shape.h"

static void what_libc_keeps_has_no_gc_head(void **state)
{
	const struct py_interp py = { .major = 3, .minor = 13, .gc_head_bytes = 16 };
	const struct {
		uint64_t head[2]; /* _gc_next, _gc_prev */
		bool is;
	} cases[] = {
		{ { 0, 0 }, true }, /* not tracked */
		{ { 0x7f1234567810, 0x7f1234567890 }, true },
		{ { 0x7f1234567811, 0x7f1234567893 }, true }, /* with what the collector notes */
		{ { 0x7f1234567810, 3ULL << 33 }, true },     /* gc_refs, of an immortal one */
		{ { 0x7f1234567812, 0 }, false },
		{ { 0xf741179, 0x5b362d36de1c3fa1 }, false }, /* freed, in glibc's tcache: the next one, mangled, and a random key */
		{ { 0, 0x5b362d36de1c3fa1 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t words[4] = { cases[i].head[0], cases[i].head[1], 1, 0xa00180 };

		assert_int_equal(shape__is_gc_head(&py, words + 2), cases[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_libc_keeps_has_no_gc_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
