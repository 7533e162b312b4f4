// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "run_timer.h"

#define MS 1000000ULL
#define PATIENCE_NS (30000 * MS)

static pid_t start(bool busy)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (volatile int i = 0;; i++)
		if (!busy)
			pause();
}

/* How long it has run, in nanoseconds. */
static uint64_t end(pid_t pid)
{
	struct rusage used;

	kill(pid, SIGKILL);
	assert_int_equal(wait4(pid, NULL, 0, &used), pid);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 * MS + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000ULL;
}

static void skip_without_perf(int err)
{
	if (err == -EACCES || err == -ENOSYS || err == -EPERM)
		skip();
}

static int wait_for(struct run_timer *t, uint64_t run_ns, uint64_t most_ns, int wake_fd)
{
	return run_timer__start(t, run_ns) ?: run_timer__await(t, most_ns, wake_fd);
}

static int wait_once(pid_t pid, uint64_t run_ns, uint64_t most_ns, int wake_fd)
{
	struct run_timer *t = NULL;
	int err = run_timer__new(pid, &t);

	err = err ?: wait_for(t, run_ns, most_ns, wake_fd);
	run_timer__free(t);
	return err;
}

static void it_has_run_for_so_long(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC), err;
	uint64_t ran;
	pid_t pid = start(true);

	(void)state;
	err = wait_once(pid, 50 * MS, PATIENCE_NS, wake_fd);
	ran = end(pid);
	assert_true(ran >= 45 * MS); /* another clock: it leaves out what interrupts took, up to 2 % seen here */
	skip_without_perf(err);
	assert_int_equal(err, 0);
	close(wake_fd);
}

static void time_in_which_it_waits_does_not_count(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC), err;
	pid_t pid = start(false);

	(void)state;
	err = wait_once(pid, 50 * MS, 100 * MS, wake_fd);
	end(pid);
	skip_without_perf(err);
	assert_int_equal(err, -ETIMEDOUT);
	close(wake_fd);
}

static void it_can_be_called_off(void **state)
{
	int wake_fd = eventfd(1, EFD_CLOEXEC), err;
	pid_t pid = start(false);

	(void)state;
	err = wait_once(pid, 50 * MS, PATIENCE_NS, wake_fd);
	end(pid);
	skip_without_perf(err);
	assert_int_equal(err, -ECANCELED);
	close(wake_fd);
}

static void one_wait_after_the_other(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC), err, i;
	pid_t pid = start(true);
	struct run_timer *t = NULL;

	(void)state;
	err = run_timer__new(pid, &t);
	/* more than the buffer has room for */
	for (i = 0; i < 1000 && !err; i++)
		err = wait_for(t, MS / 10, PATIENCE_NS, wake_fd);
	run_timer__free(t);
	assert_true(end(pid) >= i * MS / 10);
	skip_without_perf(err);
	assert_int_equal(err, 0);
	close(wake_fd);
}

static void it_goes_on_when_waiting_was_too_short(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC), err, waits = 0;
	pid_t pid = start(true);
	struct run_timer *t = NULL;
	uint64_t ran;

	(void)state;
	err = run_timer__new(pid, &t);
	err = err ?: run_timer__start(t, 50 * MS);
	if (!err)
		do {
			err = run_timer__await(t, 5 * MS, wake_fd);
			waits++;
		} while (err == -ETIMEDOUT && waits < 20000);
	run_timer__free(t);
	ran = end(pid);
	skip_without_perf(err);
	assert_int_equal(err, 0);
	assert_true(waits > 5);
	assert_true(ran >= 45 * MS);
	close(wake_fd);
}

static void a_process_that_is_gone(void **state)
{
	struct run_timer *t;
	pid_t pid = start(false);

	(void)state;
	end(pid);
	assert_int_equal(run_timer__new(pid, &t), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_run_for_so_long),
		cmocka_unit_test(it_goes_on_when_waiting_was_too_short),
		cmocka_unit_test(time_in_which_it_waits_does_not_count),
		cmocka_unit_test(it_can_be_called_off),
		cmocka_unit_test(one_wait_after_the_other),
		cmocka_unit_test(a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
