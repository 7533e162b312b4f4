// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"
#include "uprobe.h"

#define UPROBE_MULTI_RETURN 1

/* union bpf_attr.link_create with .uprobe_multi, which older headers lack */
struct uprobe_multi_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

static int read_int(const char *path, const char *format)
{
	FILE *f = fopen(path, "re");
	int v, got;

	if (!f)
		return -errno;
	got = fscanf(f, format, &v);
	fclose(f);
	return got == 1 ? v : -EINVAL;
}

static int create_perf(const struct keeper_link *l, int prog_fd)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	int type = read_int("/sys/bus/event_source/devices/uprobe/type", "%d");
	int bit = read_int("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:%d");
	int fd, err;

	if (type < 0 || bit < 0)
		return -EOPNOTSUPP;
	attr.type = type;
	attr.config = l->returns ? 1ULL << bit : 0;
	attr.config |= (l->has_refs ? l->refs[0] : 0) << 32; /* PERF_UPROBE_REF_CTR_OFFSET_SHIFT */
	attr.config1 = (uintptr_t)l->path;
	attr.config2 = l->offs[0];
	/* all processes: the event of one processor serves them all, as a uprobe runs its programs wherever it hits */
	fd = syscall(SYS_perf_event_open, &attr, l->pid ? l->pid : -1, l->pid ? -1 : 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int keeper_link__create(const struct keeper_link *l, int prog_fd)
{
	struct uprobe_multi_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = UPROBE_MULTI_ATTACH_TYPE,
		.path = (uintptr_t)l->path,
		.offsets = (uintptr_t)l->offs,
		.ref_ctr_offsets = l->has_refs ? (uintptr_t)l->refs : 0,
		.cookies = l->has_cookies ? (uintptr_t)l->cookies : 0,
		.cnt = l->cnt,
		.multi_flags = l->returns ? UPROBE_MULTI_RETURN : 0,
		.pid = l->pid,
	};
	int fd;

	if (!l->multi)
		return l->cnt == 1 ? create_perf(l, prog_fd) : -EINVAL;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

static void *close_one(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/* Each close waits for grace periods of the kernel; waiting for all at once keeps detach short. */
void keeper_links__close(const int *fds, size_t cnt)
{
	pthread_t *threads = calloc(cnt ? cnt : 1, sizeof(*threads));
	size_t started = 0;

	for (size_t i = 0; i < cnt; i++) {
		void *arg = (void *)(intptr_t)fds[i];

		if (threads && !pthread_create(&threads[started], NULL, close_one, arg))
			started++;
		else
			close_one(arg);
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}
