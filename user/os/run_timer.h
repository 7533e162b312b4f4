/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A moment in the run time of another process, met within some ten microseconds and without polling. */
#ifndef RUN_TIMER_H
#define RUN_TIMER_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The kernel's own timer of each thread (perf's task clock, linux/perf_event.h), which goes only while the thread runs. Threads that begin
 * later are not seen, nor more than 64.
 */
struct run_timer; /* opaque */

/* May take some milliseconds. 0 or -errno (-ESRCH: there is no such process; others: it cannot be had here). */
int run_timer__new(pid_t pid, struct run_timer **out);
void run_timer__free(struct run_timer *t); /* NULL is fine */

/*
 * Goes off when a thread has run for RUN_NS (at least 10 us) from now on. 0 or -errno. Costs the process one interrupt, and a little whenever one of its
 * threads begins to run.
 */
int run_timer__start(struct run_timer *t, uint64_t run_ns);
/* Until it goes off. 0; -ETIMEDOUT after MOST_NS: it goes on; -ECANCELED: WAKE_FD can be read; or -errno. */
int run_timer__await(struct run_timer *t, uint64_t most_ns, int wake_fd);

#endif
