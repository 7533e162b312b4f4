/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All traced processes: those named, those found, the forked children. */
#ifndef TARGETS_H
#define TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "target.h"

struct targets; /* opaque */

struct targets_events {
	void *ctx;
	void (*added)(void *ctx, struct target *t); /* a forked child */
};

/* All borrowed. NULL: out of memory. */
struct targets *targets__new(const struct options *o, struct intern *strings, struct stacks *stacks, const struct targets_events *events);
void targets__free(struct targets *ts);

/* EARLY: its interpreter has not started yet. An enum exit_code; *OUT is NULL and WHY a sentence unless it is 0. */
int targets__add(struct targets *ts, pid_t pid, bool early, struct target **out, char *why, size_t why_size);
/* In the background: what the first process of a binary needs. true: targets__add() of this one is quick now. */
bool targets__prepare(struct targets *ts, pid_t pid);
size_t targets__list(const struct targets *ts, struct target *const **out);
/* The living one with this pid; the one with this number. NULL: none. */
struct target *targets__find(const struct targets *ts, pid_t pid);
struct target *targets__find_proc(const struct targets *ts, uint32_t proc);
size_t targets__alive_cnt(const struct targets *ts);

/* Ready when targets__consume() has something to do. */
int targets__epoll_fd(const struct targets *ts);
void targets__consume(struct targets *ts);
const struct tracer_cost *targets__cost(const struct targets *ts);

/* Before a reading: those that have ended, and were in a report as such, are told no more, nor is what they held. */
void targets__drop_reported(struct targets *ts);
/* A reading of all into the model. 0 or -errno. */
int targets__sample(struct targets *ts, struct growth *g, bool interval_end);
/* Those that have ended hold nothing of the kernel's any more; KEEP: what they were found to have stays for later reports. */
void targets__retire_ended(struct targets *ts, bool keep);
/* Stops the traps; what has been counted stays. */
void targets__detach(struct targets *ts);
/* How many that had ended were left out of the last report, as there were too many. */
size_t targets__dropped_cnt(const struct targets *ts);

#endif
