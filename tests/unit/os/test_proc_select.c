// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc_select.h"
#include "procfs.h"

static void cgroup_prefixes(void **state)
{
	static const char text[] = "4:memory:/lxc/web1\n0::/system.slice/app.service/sub\nno colons\n:\n";

	(void)state;
#define BELOW(prefix) cgroup__is_below(text, strlen(text), prefix)
	assert_true(BELOW("/system.slice"));
	assert_true(BELOW("/system.slice/"));
	assert_true(BELOW("/system.slice/app.service"));
	assert_true(BELOW("/system.slice/app.service/sub"));
	assert_true(BELOW("/lxc/web1"));
	assert_true(BELOW("/"));
	assert_false(BELOW("/lxc/web"));
	assert_false(BELOW("/system.slice/app"));
	assert_false(BELOW("/system.slice/app.service/sub/more"));
	assert_false(BELOW("system.slice"));
	assert_false(cgroup__is_below("", 0, "/"));
	assert_true(cgroup__is_below("0::/", 4, "/"));
}

static bool holds(const pid_t *pids, size_t cnt, pid_t pid)
{
	bool found = false;

	for (size_t i = 0; i < cnt; i++) {
		found |= pids[i] == pid;
		assert_true(!i || pids[i - 1] < pids[i]);
	}
	return found;
}

/* A child called "sel[ect) me" that waits. */
static pid_t start_child(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "sel[ect) me");
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int fits(pid_t pid, struct selector s)
{
	return selector__matches(&s, pid);
}

static void of_processes(void **state)
{
	struct selector by_name = { .comm = "sel\\[ect) *" };
	pid_t pid = start_child(), *pids;
	char cgroup[16384], *path;
	size_t cnt;

	(void)state;
	assert_int_equal(fits(pid, (struct selector){ 0 }), 1);
	assert_int_equal(fits(pid, by_name), 1);
	assert_int_equal(fits(pid, (struct selector){ .comm = "sel" }), 0);
	assert_int_equal(fits(pid, (struct selector){ .by_uid = true, .uid = getuid() }), 1);
	assert_int_equal(fits(pid, (struct selector){ .by_uid = true, .uid = getuid() + 1 }), 0);
	assert_int_equal(fits(pid, (struct selector){ .cgroup = "/no/such/cgroup" }), 0);
	assert_true(procfs__cgroup(pid, cgroup, sizeof(cgroup)) > 0);
	cgroup[strcspn(cgroup, "\n")] = '\0';
	path = strchr(strchr(cgroup, ':') + 1, ':') + 1;
	assert_int_equal(fits(pid, (struct selector){ .cgroup = path, .comm = by_name.comm }), 1);

	assert_int_equal(proc_select__list(&pids, &cnt), 0);
	assert_true(holds(pids, cnt, pid) && holds(pids, cnt, getpid()));
	free(pids);
	assert_int_equal(proc_select__find(&by_name, &pids, &cnt), 0);
	assert_true(holds(pids, cnt, pid) && !holds(pids, cnt, getpid()));
	free(pids);

	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(fits(pid, by_name), 0); /* a zombie */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(fits(pid, by_name), -ESRCH);
	assert_int_equal(proc_select__find(&by_name, &pids, &cnt), 0);
	assert_false(holds(pids, cnt, pid));
	free(pids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroup_prefixes),
		cmocka_unit_test(of_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
