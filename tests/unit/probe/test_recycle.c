// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The looks into free lists, in the shapes that compilers give them; bytes by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "python.h"
#include "recycle.h"
#include "shared.h"

#define AT 0x4000

enum { R12 = 24, RBP = 32, RAX = 80, RDX = 96 }; /* struct pt_regs */

static const struct py_freelists lists = {
	.known = true, .dict_cnt = 0x1428, .dicts = 0x11a8, .keys_cnt = 0x16b0, .keys = 0x1430,
	.list_cnt = 0x11a0, .lists = 0xf20, .tuples = 0xe30, .floats = 0xe20,
};

static size_t find(const uint8_t *code, size_t size, struct recycle_point *out)
{
	uint8_t text[128];

	memset(text, 0x90, sizeof(text));
	memcpy(text + 16, code, size);
	return recycle__find(text, sizeof(text), AT, &lists, out, 8);
}

static void count_of_dicts(void **state)
{
	/* mov 0x1428(%rdx),%eax; test %eax,%eax; je +8; sub $1,%eax; ret */
	static const uint8_t code[] = { 0x8b, 0x82, 0x28, 0x14, 0, 0, 0x85, 0xc0, 0x74, 0x08, 0x83, 0xe8, 0x01, 0xc3 };
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(find(code, sizeof(code), p), 1);
	assert_int_equal(p[0].addr, AT + 16 + 8);
	assert_int_equal(p[0].cookie, RECYCLE_COOKIE(RECYCLE_DICT, RAX, RDX));
}

static void a_full_list_is_no_pop(void **state)
{
	/* movslq 0x1428(%rdx),%rax; cmp $0x4f,%eax; jg +8: the way in, not the way out */
	static const uint8_t code[] = { 0x48, 0x63, 0x82, 0x28, 0x14, 0, 0, 0x83, 0xf8, 0x4f, 0x7f, 0x08, 0xc3 };
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(find(code, sizeof(code), p), 0);
}

static void head_of_floats(void **state)
{
	/* mov 0xe20(%rax),%r12; test %r12,%r12; je +4; nop */
	static const uint8_t code[] = { 0x4c, 0x8b, 0xa0, 0x20, 0x0e, 0, 0, 0x4d, 0x85, 0xe4, 0x74, 0x04, 0x90 };
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(find(code, sizeof(code), p), 1);
	assert_int_equal(p[0].cookie, RECYCLE_COOKIE(RECYCLE_FLOAT, R12, RAX));
}

static void tuples_by_length(void **state)
{
	/* lea 0x1c5(%rdi),%rdx; mov (%rax,%rdx,8),%rbp; test %rbp,%rbp; je +0x20; nop */
	static const uint8_t code[] = { 0x48, 0x8d, 0x97, 0xc5, 0x01, 0, 0, 0x48, 0x8b, 0x2c, 0xd0, 0x48, 0x85, 0xed,
					0x0f, 0x84, 0x20, 0, 0, 0, 0x90 };
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(find(code, sizeof(code), p), 1);
	assert_int_equal(p[0].addr, AT + 16 + 14);
	assert_int_equal(p[0].cookie, RECYCLE_COOKIE(RECYCLE_TUPLE, RBP, RAX));
}

static void chains_of_314(void **state)
{
	/* mov 0x1428(%rax),%r12; test %r12,%r12; je +4: a list of dicts or ints */
	static const uint8_t code[] = { 0x4c, 0x8b, 0xa0, 0x28, 0x14, 0, 0, 0x4d, 0x85, 0xe4, 0x74, 0x04, 0x90 };
	struct py_freelists chains = {
		.known = true, .chains = true, .dicts = 0x1428, .keys = 0x1438, .lists = 0x13f8, .floats = 0x1298, .ints = 0x12a8,
		.tuples = 0x12b8, .tuples_step = 16,
	};
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(recycle__find(code, sizeof(code), AT, &chains, p, 8), 1);
	assert_int_equal(p[0].cookie, RECYCLE_COOKIE(RECYCLE_TUPLE, R12, RAX));
	chains.ints = chains.dicts;
	chains.dicts = 0x1448;
	assert_int_equal(recycle__find(code, sizeof(code), AT, &chains, p, 8), 1);
	assert_int_equal(p[0].cookie, RECYCLE_COOKIE(RECYCLE_FLOAT, R12, RAX));
}

static void another_register_is_tested(void **state)
{
	/* mov 0x1428(%rdx),%eax; test %ecx,%ecx; je +8 */
	static const uint8_t code[] = { 0x8b, 0x82, 0x28, 0x14, 0, 0, 0x85, 0xc9, 0x74, 0x08, 0xc3 };
	struct recycle_point p[8];

	(void)state;
	assert_int_equal(find(code, sizeof(code), p), 0);
}

static void not_known_not_looked_for(void **state)
{
	static const uint8_t code[] = { 0x8b, 0x82, 0x28, 0x14, 0, 0, 0x85, 0xc0, 0x74, 0x08, 0xc3 };
	struct py_freelists none = lists;
	struct recycle_point p[8];

	(void)state;
	none.known = false;
	assert_int_equal(recycle__find(code, sizeof(code), AT, &none, p, 8), 0);
}

/* A file made to be looked at for long: what it has behind all that is not found. */
static void gives_up_after_thousands(void **state)
{
	static const uint8_t code[] = { 0x8b, 0x82, 0x28, 0x14, 0, 0, 0x85, 0xc0, 0x74, 0x08, 0x83, 0xe8, 0x01, 0xc3 };
	static uint8_t text[10000 * 6 + 128]; /* mov 0x1428(%rdx),%eax, again and again, and never a test */
	struct recycle_point p[8];

	(void)state;
	memset(text, 0x90, sizeof(text));
	for (int i = 0; i < 10000; i++)
		memcpy(text + i * 6, code, 6);
	memcpy(text + 10000 * 6, code, sizeof(code));
	assert_int_equal(recycle__find(text, sizeof(text), AT, &lists, p, 8), 0);
	assert_true(recycle__find(text + 9000 * 6, sizeof(text) - 9000 * 6, AT, &lists, p, 8) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(count_of_dicts),
		cmocka_unit_test(a_full_list_is_no_pop),
		cmocka_unit_test(head_of_floats),
		cmocka_unit_test(tuples_by_length),
		cmocka_unit_test(chains_of_314),
		cmocka_unit_test(another_register_is_tested),
		cmocka_unit_test(not_known_not_looked_for),
		cmocka_unit_test(gives_up_after_thousands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
