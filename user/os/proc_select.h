/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes: by name, user, cgroup. What a scan over all of a host needs. */
#ifndef PROC_SELECT_H
#define PROC_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* All that is set must fit. */
struct selector {
	const char *comm;   /* shell pattern (fnmatch) for the whole of comm; NULL: any */
	const char *cgroup; /* a path or the beginning of one, whole components, as /proc/PID/cgroup has it; NULL: any */
	bool by_uid;
	uid_t uid;          /* real */
};

/* 1: fits, 0: does not, -ESRCH: gone, -EINVAL: comm is no pattern. Kernel threads and zombies never fit. */
int selector__matches(const struct selector *s, pid_t pid);

/* The pids of all processes (not threads) of /proc, ascending, owned by the caller. 0 or -errno. */
int proc_select__list(pid_t **pids, size_t *cnt);

/* Only those that fit. A process that ends meanwhile is left out. */
int proc_select__find(const struct selector *s, pid_t **pids, size_t *cnt);

/* Is any of the paths in these bytes of a cgroup file PREFIX, or below it? Pure. */
bool cgroup__is_below(const char *text, size_t len, const char *prefix);

#endif
