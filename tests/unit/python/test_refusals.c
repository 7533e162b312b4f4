// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This program plays the interpreter: it has a _PyRuntime that says what each test wants. */
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
uint64_t _PyRuntime[1024];
uint64_t PyType_Type[64], PyCode_Type[64], PyUnicode_Type[64];
char version_text[300];

static uint64_t interp[256], tstate[64], thread[8];

static int open_self(char *why, size_t why_size)
{
	struct py_interp py;
	int err = py_interp__open(&py, getpid(), why, why_size);

	if (!err)
		py_interp__close(&py);
	return err;
}

static void say_version(const char *version)
{
	snprintf(version_text, sizeof(version_text), "%s (main, May  9 2026, 00:00:00) [GCC 12.2.0]", version);
}

static int start_over(void **state)
{
	(void)state;
	memset(_PyRuntime, 0, sizeof(_PyRuntime));
	memset(interp, 0, sizeof(interp));
	memset(tstate, 0, sizeof(tstate));
	memset(version_text, 0, sizeof(version_text));
	return 0;
}

static uint64_t *at(void *base, uint32_t off)
{
	return (uint64_t *)((char *)base + off);
}

/* One thread, as far as runtime.c looks. */
static void play(const struct py_layout *l, const char *version)
{
	uint64_t *gc = l->interp_gc != NO_OFF ? at(interp, l->interp_gc) : at(_PyRuntime, l->runtime_gc);

	say_version(version);
	*at(_PyRuntime, l->runtime_interp_head) = *at(_PyRuntime, l->runtime_interp_main) = (uintptr_t)interp;
	*at(interp, l->interp_tstate_head) = (uintptr_t)tstate;
	*at(gc, l->gc_generation0) = (uintptr_t)gc + l->gc_generations;
	*at(tstate, l->tstate_interp) = (uintptr_t)interp;
	*at(tstate, l->tstate_thread_id) = (uintptr_t)thread;
	thread[0] = (uintptr_t)thread;
}

static void play_39(void)
{
	play(py_layout__find(3, 9), "3.9.18");
}

/* 3.7.4 made the head of collected objects larger (bpo-27987), and moved what follows. */
static void patch_versions_of_37(void **state)
{
	const struct py_layout *old = py_layout__find_patch(3, 7, 3);
	char why[256] = "";

	play(old, "3.7.3");
	assert_int_equal(open_self(why, sizeof(why)), 0);
	say_version("3.7.4");
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
	start_over(state);
	play(py_layout__find(3, 7), "3.7.17");
	assert_int_equal(open_self(why, sizeof(why)), 0);
	say_version("3.7.0");
	assert_int_not_equal(open_self(why, sizeof(why)), 0);
}

static void the_play_is_good_enough(void **state)
{
	char why[256] = "";

	(void)state;
	play_39();
	assert_int_equal(open_self(why, sizeof(why)), 0);
}

static void not_initialised_yet(void **state)
{
	const struct py_layout *l = py_layout__find(3, 9);
	char why[256] = "";

	(void)state;
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
	assert_non_null(strstr(why, "not initialised"));
	say_version("3.9.18");
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
	play_39();
	*at(interp, l->interp_tstate_head) = 0;
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
	play_39();
	*at(tstate, l->tstate_thread_id) = 0;
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
	play_39();
	*at(interp, l->interp_gc + l->gc_generation0) = 0;
	assert_int_equal(open_self(why, sizeof(why)), -EAGAIN);
}

static void versions_that_are_not_known(void **state)
{
	static const char *const versions[] = { "3.5.9", "3.15.0", "2.6.9", "3.99.1" };
	char why[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		play_39();
		say_version(versions[i]);
		assert_int_equal(open_self(why, sizeof(why)), -EOPNOTSUPP);
		assert_non_null(strstr(why, versions[i]));
		assert_non_null(strstr(why, PY_VERSIONS_SUPPORTED));
	}
}

static void spoil(uint64_t *word, uint64_t value)
{
	uint64_t right = *word;
	char why[256] = "";

	*word = value;
	assert_int_equal(open_self(why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "is not where usual builds have it"));
	*word = right;
}

static void another_layout_is_noticed(void **state)
{
	const struct py_layout *l = py_layout__find(3, 9);

	(void)state;
	play_39();
	spoil(at(_PyRuntime, l->runtime_interp_main), 0x1234);
	spoil(at(_PyRuntime, l->runtime_interp_main), (uintptr_t)interp + 1);
	spoil(at(interp, l->interp_id), 7);
	spoil(at(interp, l->interp_tstate_head), 0x5678);
	spoil(at(tstate, l->tstate_interp), (uintptr_t)tstate);
	spoil(at(tstate, l->tstate_prev), (uintptr_t)tstate);
	spoil(at(interp, l->interp_gc + l->gc_generation0), (uintptr_t)interp);
}

/* A list that leads into itself must not hold us. */
static void a_circle_of_interpreters(void **state)
{
	char why[256] = "";

	(void)state;
	play_39();
	*at(interp, py_layout__find(3, 9)->interp_next) = (uintptr_t)interp;
	assert_int_equal(open_self(why, sizeof(why)), 0);
}

static void no_room_for_the_reason(void **state)
{
	(void)state;
	assert_int_equal(open_self(NULL, 0), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_play_is_good_enough, start_over),
		cmocka_unit_test_setup(not_initialised_yet, start_over),
		cmocka_unit_test_setup(patch_versions_of_37, start_over),
		cmocka_unit_test_setup(versions_that_are_not_known, start_over),
		cmocka_unit_test_setup(another_layout_is_noticed, start_over),
		cmocka_unit_test_setup(a_circle_of_interpreters, start_over),
		cmocka_unit_test_setup(no_room_for_the_reason, start_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
