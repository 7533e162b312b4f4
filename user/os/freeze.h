/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holds a process still while it is looked at, for a bounded time. A guardian process does it, and keeps the time: the bound holds whatever the caller
 * is busy with, and if the caller is killed, at any instant, the guardian lets the process go. Nothing is written into it, it is not traced.
 *
 * By the freezer of its cgroup (v2) where no other process is in that one or below it: neither the process nor its parent can see that. Else by SIGSTOP
 * and SIGCONT, which a parent that waits for stopped children sees (a shell with job control), and for which the process may have a handler. A process
 * that somebody else has stopped is left as it is. One that somebody stops by a signal while it is held by signal goes on with the rest.
 */
#ifndef FREEZE_H
#define FREEZE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct freezer; /* opaque; for one thread at a time; holds one process at a time */

enum freeze_by {
	FREEZE_NONE,
	FREEZE_CGROUP,
	FREEZE_SIGNAL,
	FREEZE_STOPPED, /* was stopped or frozen already, by somebody else: nothing was done */
};

struct freeze_result {
	enum freeze_by by;
	uint64_t held_ns; /* from before it was asked to stop until it was let go; 0 for FREEZE_STOPPED */
	bool bound_ended; /* it was let go when the time was over, before freezer__release */
};

/* Starts the guardian, which is best done while the caller is small. 0 or -errno. */
int freezer__new(struct freezer **out);
/* Lets go what is held. */
void freezer__free(struct freezer *f);

/*
 * When this returns 0, no thread of PID runs any code of its own, for MAX_NS from the call on or until freezer__release. START_TICKS as procfs__status()
 * has them. -ESRCH, -EPERM, -ETIMEDOUT (did not come to rest in that time: let go again), -EPIPE (the guardian was killed), or another -errno; then
 * nothing is held.
 */
int freezer__hold(struct freezer *f, pid_t pid, uint64_t start_ticks, uint64_t max_ns);
/* After a hold that was 0. */
void freezer__release(struct freezer *f, struct freeze_result *out);

#endif
