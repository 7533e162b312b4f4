/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads whose work must not come late. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/* With a small stack: there may be a thousand. THREAD: to be joined; NULL: it is detached. 0 or -errno. */
int thread__start(pthread_t *thread, void *(*fn)(void *), void *arg);
/* The calling thread comes before everything else from now on, where that is allowed. */
void thread__hurry(void);

#endif
