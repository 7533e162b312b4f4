/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tracing from attach to the last report. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <sys/types.h>

struct options;
struct session;

struct session *session__new(const struct options *o);
void session__free(struct session *s);

/* Opens and attaches a process; EARLY: its interpreter has not started yet. An enum exit_code; what is wrong was said. */
int session__add(struct session *s, pid_t pid, bool early);
/* From now on finds what -a or --children ask for. An enum exit_code. */
int session__discover(struct session *s);
/*
 * Starts a command; every Python that it turns into or starts (up to the first one on each branch) is traced from before its first
 * instruction. ARGV is borrowed.
 */
int session__launch(struct session *s, char *const argv[]);
/* Reports until the time is up, a signal comes or no target is left. An enum exit_code; of a launched command its own status unless
 * that is 0. */
int session__run(struct session *s);

#endif
