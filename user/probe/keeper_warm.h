/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the way to place and remove probes free. Each does so under a per-cpu semaphore (dup_mmap_sem, kernel/events/uprobes.c), and who takes
 * that after a while in which nobody did waits for an RCU grace period (rcu_sync_enter(), kernel/rcu/sync.c): 6 ms of a quiet machine, 20 of a
 * busy one, in which the target meets all probes that are to be taken away. Whoever takes it every few milliseconds does not wait.
 */
#ifndef KEEPER_WARM_H
#define KEEPER_WARM_H

#include <stdint.h>

/* Until this time (CLOCK_MONOTONIC) a thread places probes in this process, one every few milliseconds. -EOPNOTSUPP: it cannot. */
int keeper_warm__until(uint64_t ns);

#endif
