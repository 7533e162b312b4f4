// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "run_timer.h"

#define THREADS_MAX 64
#define RUN_MIN_NS 10000 /* kernel/events/core.c, perf_swevent_start_hrtimer(): a shorter period is made as long */

struct timers {
	struct pollfd fds[1 + THREADS_MAX]; /* the first is WAKE_FD */
	void *buffers[1 + THREADS_MAX];     /* without one, poll() tells nothing */
	size_t cnt, buffer_bytes;
};

static int add(struct timers *t, pid_t tid, uint64_t run_ns)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = run_ns < RUN_MIN_NS ? RUN_MIN_NS : run_ns,
		.wakeup_events = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	void *buffer;

	if (fd < 0)
		return -errno;
	buffer = mmap(NULL, t->buffer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (buffer == MAP_FAILED) {
		int err = -errno;

		close(fd);
		return err;
	}
	t->buffers[t->cnt] = buffer;
	t->fds[t->cnt++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return 0;
}

static int add_threads(struct timers *t, pid_t pid, uint64_t run_ns)
{
	const struct dirent *entry;
	char name[64];
	int err = 0;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	dir = opendir(name);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && t->cnt <= THREADS_MAX && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			err = add(t, atoi(entry->d_name), run_ns);
	closedir(dir);
	return err == -ESRCH && t->cnt > 1 ? 0 : err; /* a thread that has just ended */
}

static int wait_for_any(struct timers *t, uint64_t most_ns)
{
	const struct timespec most = { .tv_sec = most_ns / 1000000000, .tv_nsec = most_ns % 1000000000 };
	int n = ppoll(t->fds, t->cnt, &most, NULL);

	if (n < 0)
		return -errno;
	if (!n)
		return -ETIMEDOUT;
	return t->fds[0].revents ? -ECANCELED : 0;
}

int run_timer__wait(pid_t pid, uint64_t run_ns, uint64_t most_ns, int wake_fd)
{
	struct timers t = { .fds[0] = { .fd = wake_fd, .events = POLLIN }, .cnt = 1, .buffer_bytes = 2 * sysconf(_SC_PAGESIZE) };
	int err = add_threads(&t, pid, run_ns);

	err = err ?: wait_for_any(&t, most_ns);
	for (size_t i = 1; i < t.cnt; i++) {
		munmap(t.buffers[i], t.buffer_bytes);
		close(t.fds[i].fd);
	}
	return err;
}
