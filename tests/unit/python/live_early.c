// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * live_early PYTHON: opens interpreters again and again while they start. From exec on the answer must be "not yet" until it
 * is yes, and never that this is no Python, or one with another layout.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "procfs.h"
#include "python.h"

enum { ROUNDS = 30 };

struct run {
	unsigned long opens, wrong;
	char own_exe[4096];
};

static bool is_before_exec(const struct run *r, pid_t pid)
{
	char exe[4096];

	/* PYTHON may be a script that leads to the interpreter. */
	return procfs__exe(pid, exe, sizeof(exe)) || !strcmp(exe, r->own_exe) || !strstr(exe, "python");
}

static void open_until_it_is_there(struct run *r, pid_t pid)
{
	char why[512] = "";
	struct py_interp py;
	bool early;
	int err;

	do {
		early = is_before_exec(r, pid);
		err = py_interp__open(&py, pid, why, sizeof(why));
		r->opens++;
		if (err && err != -EAGAIN && !early) {
			r->wrong++;
			printf("wrong: %s\n", why);
			return;
		}
	} while (err);
	py_interp__close(&py);
}

static void start_one(struct run *r, const char *python)
{
	int hold[2];
	pid_t pid;

	if (pipe(hold))
		exit(2);
	pid = fork();
	if (!pid) {
		dup2(hold[0], 0);
		close(hold[1]);
		execl(python, python, "-c", "import sys; sys.stdin.read()", NULL);
		_exit(127);
	}
	close(hold[0]);
	open_until_it_is_there(r, pid);
	close(hold[1]);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct run r = { 0 };

	if (argc != 2 || access(argv[1], X_OK) || procfs__exe(getpid(), r.own_exe, sizeof(r.own_exe)))
		return 2;
	for (int i = 0; i < ROUNDS; i++)
		start_one(&r, argv[1]);
	printf("%s: %lu early opens, %lu wrong\n", argv[1], r.opens, r.wrong);
	return r.wrong != 0;
}
