// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "clock.h"

uint64_t clock__ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t clock__now_ns(void)
{
	return clock__ns(CLOCK_MONOTONIC);
}
