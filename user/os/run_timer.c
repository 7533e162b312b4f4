// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "run_timer.h"

#define THREADS_MAX 64
#define RUN_MIN_NS 10000 /* kernel/events/core.c, perf_swevent_start_hrtimer(): a shorter period is made as long */

struct run_timer {
	struct pollfd fds[1 + THREADS_MAX];                      /* the first is WAKE_FD */
	struct perf_event_mmap_page *buffers[1 + THREADS_MAX];   /* without one, poll() tells nothing */
	size_t cnt, buffer_bytes;
};

static int add(struct run_timer *t, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = 1000000000,
		.wakeup_events = 1,
		.disabled = 1,
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

static int add_threads(struct run_timer *t, pid_t pid)
{
	const struct dirent *entry;
	char name[64];
	int err = 0;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	dir = opendir(name);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (t->cnt <= THREADS_MAX && (!err || err == -ESRCH) && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			err = add(t, atoi(entry->d_name));
	closedir(dir);
	return err == -ESRCH && t->cnt > 1 ? 0 : err; /* a thread that has just ended */
}

int run_timer__new(pid_t pid, struct run_timer **out)
{
	struct run_timer *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->cnt = 1;
	t->buffer_bytes = 2 * sysconf(_SC_PAGESIZE);
	err = add_threads(t, pid);
	if (err)
		run_timer__free(t);
	else
		*out = t;
	return err;
}

void run_timer__free(struct run_timer *t)
{
	if (!t)
		return;
	for (size_t i = 1; i < t->cnt; i++) {
		munmap(t->buffers[i], t->buffer_bytes);
		close(t->fds[i].fd);
	}
	free(t);
}

static int wait_for_any(struct run_timer *t, uint64_t most_ns)
{
	const struct timespec most = { .tv_sec = most_ns / 1000000000, .tv_nsec = most_ns % 1000000000 };
	int n = ppoll(t->fds, t->cnt, &most, NULL);

	if (n < 0)
		return -errno;
	if (!n)
		return -ETIMEDOUT;
	return t->fds[0].revents ? -ECANCELED : 0;
}

/* What an earlier wait has left must not end the next one, nor fill the buffer. */
static void stop(struct run_timer *t)
{
	for (size_t i = 1; i < t->cnt; i++) {
		ioctl(t->fds[i].fd, PERF_EVENT_IOC_DISABLE, 0);
		t->buffers[i]->data_tail = __atomic_load_n(&t->buffers[i]->data_head, __ATOMIC_ACQUIRE);
	}
	for (size_t i = 1; i < t->cnt; i++)
		poll(&t->fds[i], 1, 0);
}

int run_timer__start(struct run_timer *t, uint64_t run_ns)
{
	uint64_t period = run_ns < RUN_MIN_NS ? RUN_MIN_NS : run_ns;

	stop(t);
	for (size_t i = 1; i < t->cnt; i++)
		if (ioctl(t->fds[i].fd, PERF_EVENT_IOC_PERIOD, &period) || ioctl(t->fds[i].fd, PERF_EVENT_IOC_REFRESH, 1))
			return -errno;
	return 0;
}

int run_timer__await(struct run_timer *t, uint64_t most_ns, int wake_fd)
{
	t->fds[0] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
	return wait_for_any(t, most_ns);
}
