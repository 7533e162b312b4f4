// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <sched.h>

#include "thread.h"

#define STACK_BYTES (256 << 10)

int thread__start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_t detached;
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!thread)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = -pthread_create(thread ?: &detached, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return err;
}

void thread__hurry(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}
