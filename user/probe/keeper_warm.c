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
#include "uprobe.h"

#define EVERY_NS 1000000
#define LINKS_MAX 64

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	uint64_t until_ns;
	bool started, impossible;
	int prog_fd;
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

static void *warm(void *arg)
{
	const struct timespec pause = { .tv_nsec = EVERY_NS };
	int fds[LINKS_MAX];

	while (wait_until_wanted()) {
		size_t cnt = 0;

		while (is_wanted() && cnt < LINKS_MAX && (fds[cnt] = keeper_link__create(&warmer.link, warmer.prog_fd)) >= 0) {
			cnt++;
			nanosleep(&pause, NULL);
		}
		while (cnt)
			close(fds[--cnt]);
	}
	return arg;
}

int keeper_warm__until(uint64_t ns)
{
	pthread_t thread;
	int err = 0;

	pthread_mutex_lock(&warmer.lock);
	if (!warmer.started && !warmer.impossible) {
		warmer.impossible = prepare() || pthread_create(&thread, NULL, warm, NULL);
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
