/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Starts a command and stops every program that it execs, itself included, before its first instruction: the loader has
 * mapped and relocated all libraries, none of the program's own code has run. A thread of its own does the ptrace
 * work; programs that the caller is done with run on without it.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

struct launch; /* opaque */

enum launch_kind {
	LAUNCH_PROGRAM, /* pid is stopped at its entry point and waits for launch__go */
	LAUNCH_EXIT,    /* the command has ended with STATUS, as of waitpid */
	LAUNCH_FAILED,  /* it could not be started: STATUS is -errno */
};

struct launch_event {
	enum launch_kind kind;
	pid_t pid;
	int status;
};

int launch__start(char *const argv[], struct launch **out);
void launch__free(struct launch *l);
int launch__fd(const struct launch *l); /* readable when an event is there */
int launch__read(struct launch *l, struct launch_event *ev);
/* RELEASE: no longer watch this process (it is traced, or of no interest with all that it may start). */
int launch__go(struct launch *l, bool release);
pid_t launch__pid(const struct launch *l);

#endif
