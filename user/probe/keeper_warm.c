// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "keeper.h"
#include "keeper_warm.h"
#include "procfs.h"
#include "thread.h"
#include "uprobe.h"

#define EVERY_NS 3000000
#define CLOSING_MAX 64

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	uint64_t until_ns;
	bool started, impossible;
	int prog_fd, closing;
	struct keeper_link link;
} warmer = { .lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER };

/* Never called: its first instruction is where our own probes go. */
__attribute__((noinline, used)) void pyleak_never_called(void)
{
	__asm__ volatile("nop; nop; nop; nop; nop; nop");
}

static int prepare(void)
{
	struct proc_maps maps = {};
	int err = procfs__maps(getpid(), &maps);

	warmer.link.pid = getpid();
	warmer.link.multi = true;
	warmer.link.cnt = 1;
	strcpy(warmer.link.path, "/proc/self/exe");
	err = err ?: proc_maps__file_off(&maps, (uintptr_t)pyleak_never_called, &warmer.link.offs[0]);
	proc_maps__free(&maps);
	warmer.prog_fd = err ?: uprobe__empty_program(true);
	return warmer.prog_fd < 0 ? warmer.prog_fd : 0;
}

static bool wait_until_wanted(void)
{
	pthread_mutex_lock(&warmer.lock);
	while (clock__now_ns() >= warmer.until_ns)
		pthread_cond_wait(&warmer.wanted, &warmer.lock);
	pthread_mutex_unlock(&warmer.lock);
	return true;
}

static bool is_wanted(void)
{
	return clock__now_ns() < __atomic_load_n(&warmer.until_ns, __ATOMIC_RELAXED);
}

static void *close_one(void *arg)
{
	close((int)(intptr_t)arg);
	__atomic_sub_fetch(&warmer.closing, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Not by the thread that warms: each waits for a grace period. */
static void close_aside(int fd)
{
	void *arg = (void *)(intptr_t)fd;

	if (__atomic_add_fetch(&warmer.closing, 1, __ATOMIC_RELAXED) > CLOSING_MAX || thread__start(NULL, close_one, arg))
		close_one(arg);
}

static void *warm(void *arg)
{
	const struct timespec pause = { .tv_nsec = EVERY_NS };

	while (wait_until_wanted()) {
		while (is_wanted()) {
			int fd = keeper_link__create(&warmer.link, warmer.prog_fd);

			nanosleep(&pause, NULL);
			if (fd >= 0)
				close_aside(fd);
		}
	}
	return arg;
}

/* Not in front of others, as the thread that asks for it is: it would take the processor of the process that is traced, again and again. */
static int start_warming(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = -pthread_create(&thread, &attr, warm, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

int keeper_warm__until(uint64_t ns)
{
	int err = 0;

	pthread_mutex_lock(&warmer.lock);
	if (!warmer.started && !warmer.impossible) {
		warmer.impossible = prepare() || start_warming();
		warmer.started = !warmer.impossible;
	}
	if (!warmer.started)
		err = -EOPNOTSUPP;
	if (ns > warmer.until_ns)
		__atomic_store_n(&warmer.until_ns, ns, __ATOMIC_RELAXED);
	pthread_cond_signal(&warmer.wanted);
	pthread_mutex_unlock(&warmer.lock);
	return err;
}
