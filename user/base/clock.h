/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

/* In nanoseconds. */
uint64_t clock__ns(clockid_t clock);
/* CLOCK_MONOTONIC, which is that of the programs, too (bpf_ktime_get_ns). */
uint64_t clock__now_ns(void);

#endif
