/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A moment in the run time of another process, met within some ten microseconds and without polling. */
#ifndef RUN_TIMER_H
#define RUN_TIMER_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Waits until a thread of PID has run for RUN_NS (at least 10 us) from now on: the kernel's own timer of it (perf's task clock, linux/perf_event.h), which
 * goes only while the thread does. Threads that begin later are not seen, nor more than 64. 0; -ETIMEDOUT after MOST_NS; -ECANCELED: WAKE_FD can be read;
 * or -errno: it cannot be told here.
 */
int run_timer__wait(pid_t pid, uint64_t run_ns, uint64_t most_ns, int wake_fd);

#endif
