// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This program plays an interpreter from before _PyRuntime: 3.6 and 2.7, whose state is in variables of their own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "layout.h"
#include "python.h"

/* Under the names that CPython exports. */
uint64_t PyType_Type[64], PyCode_Type[64], PyUnicode_Type[64], PyString_Type[64];
uint64_t _PyThreadState_Current, _PyGC_generation0, _Py_Finalizing;
uint64_t interp_variable, initialized_variable;
char version_text[300];

/* As compilers make them of "return variable;". */
__asm__(".text\n"
	".globl PyInterpreterState_Head\n"
	".type PyInterpreterState_Head,@function\n"
	"PyInterpreterState_Head:\n"
	"	endbr64\n"
	"	mov interp_variable(%rip),%rax\n"
	"	ret\n"
	".size PyInterpreterState_Head,.-PyInterpreterState_Head\n"
	".globl Py_IsInitialized\n"
	".type Py_IsInitialized,@function\n"
	"Py_IsInitialized:\n"
	"	mov initialized_variable(%rip),%eax\n"
	"	ret\n"
	".size Py_IsInitialized,.-Py_IsInitialized\n"
	".balign 16\n");

static uint64_t interp[32], sub_interp[32], tstate[64], thread[8], generations[32];

static uint64_t *at(void *base, uint32_t off)
{
	return (uint64_t *)((char *)base + off);
}

static int open_self(struct py_interp *py, char *why, size_t why_size)
{
	int err = py_interp__open(py, getpid(), why, why_size);

	if (!err)
		py_interp__close(py);
	return err;
}

static void make_generations(size_t stride)
{
	memset(generations, 0, sizeof(generations));
	for (size_t i = 0; i < 3; i++) {
		uint64_t *head = at(generations, i * stride);

		head[0] = head[1] = (uintptr_t)head;
	}
	_PyGC_generation0 = (uintptr_t)generations;
}

static void play(int major, int minor, const char *version, size_t stride)
{
	const struct py_layout *l = py_layout__find(major, minor);

	snprintf(version_text, sizeof(version_text), "%s (default, May  9 2026, 00:00:00) \n[GCC 12.2.0]", version);
	memset(interp, 0, sizeof(interp));
	memset(sub_interp, 0, sizeof(sub_interp));
	memset(tstate, 0, sizeof(tstate));
	interp_variable = (uintptr_t)interp;
	*at(interp, l->interp_tstate_head) = (uintptr_t)tstate;
	*at(tstate, l->tstate_interp) = (uintptr_t)interp;
	*at(tstate, l->tstate_thread_id) = (uintptr_t)thread;
	thread[0] = (uintptr_t)thread;
	_PyThreadState_Current = (uintptr_t)tstate;
	make_generations(stride);
}

static void variables_are_found(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	play(3, 6, "3.6.15", 48);
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.runtime_addr, 0);
	assert_int_equal(py.interp_addr, (uintptr_t)interp);
	assert_int_equal(py.tstate_slot_addr, (uintptr_t)&_PyThreadState_Current);
	assert_int_equal(py.finalizing_addr, (uintptr_t)&_Py_Finalizing);
	play(2, 7, "2.7.18", 40);
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.finalizing_addr, (uintptr_t)&initialized_variable);
	assert_int_equal(py.types.str, (uintptr_t)PyString_Type);
	assert_int_equal(py.gc_stats_addr, 0);
}

/* bpo-27987, bpo-33374: told by how far the generations lie apart */
static void gc_heads_differ_between_patch_versions(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	play(3, 6, "3.6.8", 32);
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.gc_head_bytes, 24);
	play(3, 6, "3.6.15", 48);
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.gc_head_bytes, 32);
	play(2, 7, "2.7.5", 48);
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.gc_head_bytes, 32);
	play(3, 6, "3.6.15", 56);
	assert_int_equal(open_self(&py, why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "collector"));
}

static void the_main_interpreter_is_the_oldest(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	play(3, 6, "3.6.15", 48);
	*at(sub_interp, py_layout__find(3, 6)->interp_next) = (uintptr_t)interp;
	interp_variable = (uintptr_t)sub_interp;
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
	assert_int_equal(py.interp_addr, (uintptr_t)interp);
	assert_int_equal(py.subinterpreters, 1);
}

static void too_early_and_too_odd(void **state)
{
	struct py_interp py;
	char why[256] = "";

	(void)state;
	play(3, 6, "3.6.15", 48);
	interp_variable = 0;
	assert_int_equal(open_self(&py, why, sizeof(why)), -EAGAIN);
	play(3, 6, "3.6.15", 48);
	_PyThreadState_Current = 0x1235;
	assert_int_equal(open_self(&py, why, sizeof(why)), -EOPNOTSUPP);
	_PyThreadState_Current = 0; /* nobody has the GIL */
	assert_int_equal(open_self(&py, why, sizeof(why)), 0);
}

static void older_ones_are_refused_by_name(void **state)
{
	static const char *const versions[] = { "2.6.9", "3.4.10", "3.5.9" };
	struct py_interp py;
	char why[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		play(3, 6, versions[i], 48);
		assert_int_equal(open_self(&py, why, sizeof(why)), -EOPNOTSUPP);
		assert_non_null(strstr(why, versions[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_found),
		cmocka_unit_test(gc_heads_differ_between_patch_versions),
		cmocka_unit_test(the_main_interpreter_is_the_oldest),
		cmocka_unit_test(too_early_and_too_odd),
		cmocka_unit_test(older_ones_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
