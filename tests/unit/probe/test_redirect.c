// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "procfs.h"
#include "redirect.h"
#include "remote.h"

enum { ORIGINAL = 1, ALIAS = 2 };

static uint64_t word;

/* A process, its child that is forked with the word as it is then, and a stranger that has the same word in the same place. */
struct family {
	pid_t parent, child, stranger;
	int ask, answer;
};

static void wait_forever(void)
{
	for (;;)
		pause();
}

static void be_parent(int ask, int answer)
{
	pid_t child;
	char c;

	if (read(ask, &c, 1) != 1)
		_exit(1);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_forever();
	}
	if (write(answer, &child, sizeof(child)) != sizeof(child))
		_exit(1);
	wait_forever();
}

static void start_family(struct family *f)
{
	int ask[2], answer[2];

	assert_int_equal(pipe(ask), 0);
	assert_int_equal(pipe(answer), 0);
	word = ALIAS;
	f->stranger = fork();
	if (!f->stranger) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_forever();
	}
	word = ORIGINAL;
	f->parent = fork();
	if (!f->parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be_parent(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	f->ask = ask[1];
	f->answer = answer[0];
}

static uint64_t word_of(pid_t pid)
{
	const struct remote mem = remote__process(pid);
	uint64_t value = 0;

	assert_int_equal(remote__read_u64(&mem, (uint64_t)&word, &value), 0);
	return value;
}

static struct redirect *redirected(struct guardian *g, struct family *f)
{
	const struct redirect_word words[] = { { (uint64_t)&word, ORIGINAL, ALIAS } };
	struct redirect *r = NULL;
	struct proc_status st;

	start_family(f);
	assert_int_equal(procfs__status(f->parent, &st), 0);
	assert_int_equal(redirect__apply(g, f->parent, st.start_ticks, words, 1, false, &r), 0);
	assert_int_equal(write(f->ask, "", 1), 1);
	assert_int_equal(read(f->answer, &f->child, sizeof(f->child)), sizeof(f->child));
	assert_int_equal(word_of(f->parent), ALIAS);
	assert_int_equal(word_of(f->child), ALIAS);
	return r;
}

static void assert_restored(const struct family *f)
{
	assert_int_equal(word_of(f->parent), ORIGINAL);
	assert_int_equal(word_of(f->child), ORIGINAL);
}

static void end_family(const struct family *f)
{
	kill(f->stranger, SIGKILL);
	kill(f->child, SIGKILL);
	kill(f->parent, SIGKILL);
	waitpid(f->stranger, NULL, 0);
	waitpid(f->parent, NULL, 0);
	close(f->ask);
	close(f->answer);
}

static void children_are_restored_too(void **state)
{
	struct guardian *g = guardian__new();
	struct redirect *r;
	struct family f;

	(void)state;
	r = redirected(g, &f);
	redirect__undo(r);
	assert_restored(&f);
	assert_int_equal(word_of(f.stranger), ALIAS);
	guardian__free(g);
	end_family(&f);
}

static void all_at_once(void **state)
{
	struct guardian *g = guardian__new();
	struct redirect *r[2];
	struct family f[2];

	(void)state;
	r[0] = redirected(g, &f[0]);
	r[1] = redirected(g, &f[1]);
	guardian__restore(g);
	assert_restored(&f[0]);
	assert_restored(&f[1]);
	assert_int_equal(word_of(f[0].stranger), ALIAS);
	redirect__hold(r[0]);
	assert_restored(&f[0]);
	redirect__undo(r[0]);
	redirect__undo(r[1]);
	guardian__free(g);
	end_family(&f[0]);
	end_family(&f[1]);
}

/* Budget mode: on and off; what was forked while they were on gets them back in the end. */
static void held_at_times(void **state)
{
	struct guardian *g = guardian__new();
	struct redirect *r;
	struct family f;

	(void)state;
	r = redirected(g, &f);
	for (int i = 0; i < 3; i++) {
		redirect__release(r);
		assert_int_equal(word_of(f.parent), ORIGINAL);
		redirect__release(r);
		assert_int_equal(word_of(f.parent), ORIGINAL);
		redirect__hold(r);
		assert_int_equal(word_of(f.parent), ALIAS);
	}
	redirect__release(r);
	assert_int_equal(word_of(f.child), ALIAS);
	redirect__undo(r);
	assert_restored(&f);
	assert_int_equal(word_of(f.stranger), ALIAS);
	redirect__release(NULL);
	redirect__hold(NULL);
	guardian__free(g);
	end_family(&f);
}

static void one_that_comes_afterwards(void **state)
{
	struct guardian *g = guardian__new();
	struct redirect *r;
	struct family f;

	(void)state;
	guardian__restore(g);
	r = redirected(g, &f);
	redirect__undo(r);
	assert_restored(&f);
	guardian__free(g);
	end_family(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_are_restored_too),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(held_at_times),
		cmocka_unit_test(one_that_comes_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
