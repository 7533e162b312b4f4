// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bytes in, places out. The instruction bytes are written by hand from the processor manual's encodings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gc_probe.h"
#include "place.h"

#define AT 0x1000

static void entry_after_lea(void **state)
{
	/* lea -1(%rsi),%rax; push %rbx; mov %rsi,%rbx; cmp $0x1ff,%rax; ret */
	static const uint8_t code[] = { 0x48, 0x8d, 0x46, 0xff, 0x53, 0x48, 0x89, 0xf3, 0x48, 0x3d, 0xff, 0x01, 0x00, 0x00, 0xc3 };
	struct place p;

	(void)state;
	assert_int_equal(place__entry(code, sizeof(code), AT, 1, &p), 0);
	assert_int_equal(p.addr, AT + 4);
	assert_int_equal(p.cost, PLACE_EMULATED);
	assert_int_equal(p.arg_regs[0], ARG_SI);
}

static void entry_follows_moved_arguments(void **state)
{
	/* mov %rsi,%rdi; mov %rdx,%rsi; test %rdi,%rdi; je +5: the arguments are in rdi and rsi or rdx by then */
	static const uint8_t code[] = { 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x85, 0xff, 0x74, 0x05, 0xc3, 0x90, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__entry(code, sizeof(code), AT, 2, &p), 0);
	assert_int_equal(p.addr, AT + 9);
	assert_int_equal(p.cost, PLACE_EMULATED);
	assert_int_equal(p.arg_regs[0], ARG_DI);
	assert_true(p.arg_regs[1] == ARG_SI || p.arg_regs[1] == ARG_DX);
}

static void tail_of_a_function_that_hands_on(void **state)
{
	/* mov %rsi,%rdi; jmp +0x10 (the whole of 3.9's _PyMem_RawFree); the same with endbr64; mov %rdx,%rdi; call */
	static const uint8_t code[] = { 0x48, 0x89, 0xf7, 0xe9, 0x10, 0x00, 0x00, 0x00, 0x90, 0x90, 0x90, 0x90 };
	static const uint8_t marked[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xf7, 0xe9, 0x10, 0x00, 0x00, 0x00 };
	static const uint8_t other[] = { 0x48, 0x89, 0xd7, 0xe9, 0x10, 0x00, 0x00, 0x00, 0x90, 0x90, 0x90, 0x90 };
	static const uint8_t calls[] = { 0x48, 0x89, 0xf7, 0xe8, 0x10, 0x00, 0x00, 0x00, 0xc3, 0x90, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__tail(code, sizeof(code), AT, &p), 0);
	assert_int_equal(p.addr, AT + 8 + 0x10);
	assert_int_equal(p.arg_regs[0], ARG_DI);
	assert_int_equal(place__tail(marked, sizeof(marked), AT, &p), 0);
	assert_int_equal(p.addr, AT + 12 + 0x10);
	assert_int_equal(place__tail(other, sizeof(other), AT, &p), -ENOENT);
	assert_int_equal(place__tail(calls, sizeof(calls), AT, &p), -ENOENT);
	for (size_t size = 0; size < 8; size++)
		assert_int_equal(place__tail(code, size, AT, &p), -ENOENT);
}

static void entry_is_where_the_kernel_takes_a_probe(void **state)
{
	/* lock incq (%rax); mov %rdi,%rax; jmp *%rcx: no probe at the first (lock), none that is emulated before the end */
	static const uint8_t code[] = { 0xf0, 0x48, 0xff, 0x00, 0x48, 0x89, 0xf8, 0xff, 0xe1, 0x90, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__entry(code, sizeof(code), AT, 2, &p), 0);
	assert_int_equal(p.addr, AT + 4);
	assert_int_equal(p.cost, PLACE_SINGLE_STEP);
	assert_int_equal(p.arg_regs[0], ARG_SI);
	assert_int_equal(p.arg_regs[1], ARG_DX);
}

static void entry_stops_where_an_argument_is_lost(void **state)
{
	/* xor %esi,%esi; push %rbx: at the push the argument is gone */
	static const uint8_t code[] = { 0x31, 0xf6, 0x53, 0xc3, 0x90, 0x90, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__entry(code, sizeof(code), AT, 1, &p), 0);
	assert_int_equal(p.addr, AT);
	assert_int_equal(p.cost, PLACE_SINGLE_STEP);
}

static void entry_stops_where_the_stack_moves(void **state)
{
	/* sub $0x18,%rsp; push %rbx: a return probe there would not find the return address */
	static const uint8_t code[] = { 0x48, 0x83, 0xec, 0x18, 0x53, 0xc3, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__entry(code, sizeof(code), AT, 1, &p), 0);
	assert_int_equal(p.addr, AT);
	assert_int_equal(p.cost, PLACE_SINGLE_STEP);
}

static void entry_of_a_function_without_context(void **state)
{
	/* test %rdi,%rdi; js +5; then the same with mov %rdi,%rax; xor %edi,%edi before it */
	static const uint8_t code[] = { 0x48, 0x85, 0xff, 0x78, 0x05, 0xc3, 0x90, 0x90, 0x90, 0x90 };
	static const uint8_t moved[] = { 0x48, 0x89, 0xf8, 0x31, 0xff, 0x48, 0x85, 0xc0, 0x78, 0x05, 0xc3, 0x90, 0x90 };
	struct place p;

	(void)state;
	assert_int_equal(place__plain_entry(code, sizeof(code), AT, 2, &p), 0);
	assert_int_equal(p.addr, AT + 3);
	assert_int_equal(p.cost, PLACE_EMULATED);
	assert_int_equal(p.arg_regs[0], ARG_DI);
	assert_int_equal(p.arg_regs[1], ARG_SI);
	assert_int_equal(place__plain_entry(moved, sizeof(moved), AT, 1, &p), 0);
	assert_int_equal(p.addr, AT + 8);
	assert_int_equal(p.arg_regs[0], ARG_AX);
}

static void entry_of_no_code(void **state)
{
	static const uint8_t code[] = { 0x06, 0x06 }; /* push %es: not in 64-bit mode */
	struct place p;

	(void)state;
	assert_int_not_equal(place__entry(code, sizeof(code), AT, 1, &p), 0);
}

/* cmp $FN,%rax; jne +3; nop; nop; ret; mov %rbx,%rsi; jmp *%rax */
static void guard_of_a_fixed_address(void **state)
{
	uint8_t text[64];
	static const uint8_t guard[] = { 0x48, 0x3d, 0x00, 0x50, 0x40, 0x00, 0x75, 0x03, 0x90, 0x90, 0xc3, 0x48, 0x89, 0xde, 0xff, 0xe0 };

	(void)state;
	memset(text, 0x90, sizeof(text));
	memcpy(text + 8, guard, sizeof(guard));
	assert_int_equal(place__guards(text, sizeof(text), 0x404000, 0x405000), 1);
	assert_int_equal(place__guards(text, sizeof(text), 0x404000, 0x405001), 0);
	/* the same comparison with no indirect call on either way only asks which allocator is in use */
	text[8 + 14] = 0x90;
	text[8 + 15] = 0xc3;
	assert_int_equal(place__guards(text, sizeof(text), 0x404000, 0x405000), 0);
}

/* lea FN(%rip),%rdx; cmp %rdx,%rax; jne +1; ret; call *%rax */
static void guard_of_a_relative_address(void **state)
{
	uint8_t text[64];
	static const uint8_t guard[] = { 0x48, 0x8d, 0x15, 0, 0, 0, 0, 0x48, 0x39, 0xd0, 0x75, 0x01, 0xc3, 0xff, 0xd0 };
	int32_t disp = 0x5000 - (AT + 8 + 7);

	(void)state;
	memset(text, 0x90, sizeof(text));
	memcpy(text + 8, guard, sizeof(guard));
	memcpy(text + 8 + 3, &disp, sizeof(disp));
	assert_int_equal(place__guards(text, sizeof(text), AT, 0x5000), 1);
	text[8 + 9] = 0xc8; /* cmp %rcx,%rax: not with what was loaded */
	assert_int_equal(place__guards(text, sizeof(text), AT, 0x5000), 0);
}

static void alias_by_jump(void **state)
{
	uint8_t text[64];
	int32_t disp = 48 - (16 + 5);
	struct place p;

	(void)state;
	memset(text, 0xcc, sizeof(text));
	text[16] = 0xe9;
	memcpy(text + 17, &disp, sizeof(disp));
	assert_int_equal(place__alias(text, sizeof(text), AT, AT + 48, &p), 0);
	assert_int_equal(p.addr, AT + 16);
	assert_int_equal(p.cost, PLACE_EMULATED);
	assert_int_equal(place__arrives_at(text, sizeof(text), AT, p.addr), AT + 48);
}

static void alias_by_padding(void **state)
{
	/* ret; nopw 0x0(%rax,%rax,1) (nine bytes), then the function: lea -1(%rsi),%rax; ret */
	static const uint8_t text[] = { 0xc3, 0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x46, 0xff, 0xc3 };
	struct place p;

	(void)state;
	assert_int_equal(place__alias(text, sizeof(text), AT, AT + 10, &p), 0);
	assert_in_range(p.addr, AT + 1, AT + 9);
	assert_int_equal(place__arrives_at(text, sizeof(text), AT, p.addr), AT + 10);
}

static void alias_of_nothing(void **state)
{
	static const uint8_t text[] = { 0x48, 0x89, 0xf7, 0xc3, 0x48, 0x8d, 0x46, 0xff, 0xc3, 0x90 };
	struct place p;

	(void)state;
	assert_int_not_equal(place__alias(text, sizeof(text), AT, AT + 4, &p), 0);
}

static void arrives_where_it_is(void **state)
{
	static const uint8_t text[] = { 0x53, 0x5b, 0xc3 };

	(void)state;
	assert_int_equal(place__arrives_at(text, sizeof(text), AT, AT), AT);
}

static void usdt_arguments(void **state)
{
	struct gc_probe p = {};

	(void)state;
	assert_int_equal(gc_probe__parse_arg("-4@112(%rsp)", &p), 0);
	assert_true(p.is_memory);
	assert_int_equal(p.disp, 112);
	assert_int_equal(p.reg_off, 152);
	assert_int_equal(gc_probe__parse_arg("-4@%ebx", &p), 0);
	assert_false(p.is_memory);
	assert_int_equal(p.reg_off, 40);
	assert_int_equal(gc_probe__parse_arg("-4@%r12d", &p), 0);
	assert_int_equal(p.reg_off, 24);
	assert_int_equal(gc_probe__parse_arg("-4@-8(%rbp)", &p), 0);
	assert_int_equal(p.disp, -8);
	assert_int_not_equal(gc_probe__parse_arg("-8@$5", &p), 0);
	assert_int_not_equal(gc_probe__parse_arg("", &p), 0);
	assert_int_not_equal(gc_probe__parse_arg("-4@%xmm0", &p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_after_lea),
		cmocka_unit_test(entry_follows_moved_arguments),
		cmocka_unit_test(tail_of_a_function_that_hands_on),
		cmocka_unit_test(entry_is_where_the_kernel_takes_a_probe),
		cmocka_unit_test(entry_stops_where_an_argument_is_lost),
		cmocka_unit_test(entry_stops_where_the_stack_moves),
		cmocka_unit_test(entry_of_a_function_without_context),
		cmocka_unit_test(entry_of_no_code),
		cmocka_unit_test(guard_of_a_fixed_address),
		cmocka_unit_test(guard_of_a_relative_address),
		cmocka_unit_test(alias_by_jump),
		cmocka_unit_test(alias_by_padding),
		cmocka_unit_test(alias_of_nothing),
		cmocka_unit_test(arrives_where_it_is),
		cmocka_unit_test(usdt_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
