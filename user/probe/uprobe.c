// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "uprobe.h"

#define UPROBE_MULTI_RETURN 1

/* union bpf_attr.link_create with .uprobe_multi, which older headers lack */
struct link_create_multi {
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

static int link_create(struct link_create_multi *attr)
{
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

int uprobe__empty_program(bool multi)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = {
		.sz = sizeof(opts),
		.expected_attach_type = (enum bpf_attach_type)(multi ? UPROBE_MULTI_ATTACH_TYPE : 0),
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "pyleak_nothing", "GPL", insns, 2, &opts);

	return fd < 0 ? -errno : fd;
}

bool uprobe__have_multi(void)
{
	uint64_t off = 0;
	struct link_create_multi attr = {
		.attach_type = UPROBE_MULTI_ATTACH_TYPE,
		.path = (uintptr_t) "/",
		.offsets = (uintptr_t)&off,
		.cnt = 1,
	};
	int fd, err;

	fd = uprobe__empty_program(true);
	if (fd < 0)
		return false;
	attr.prog_fd = fd;
	err = link_create(&attr);
	if (err >= 0)
		close(err);
	close(fd);
	return err == -EBADF; /* it got as far as looking at the path */
}

static int links_add(struct uprobe_links *links, int fd)
{
	int *fds = realloc(links->fds, (links->cnt + 1) * sizeof(*fds));

	if (!fds) {
		close(fd);
		return -ENOMEM;
	}
	links->fds = fds;
	links->fds[links->cnt++] = fd;
	return 0;
}

static int attach_multi(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *ref_ctr_offs,
			const uint64_t *cookies, size_t cnt, bool returns, struct uprobe_links *links)
{
	struct link_create_multi attr = {
		.prog_fd = prog_fd,
		.attach_type = UPROBE_MULTI_ATTACH_TYPE,
		.path = (uintptr_t)t->path,
		.offsets = (uintptr_t)offs,
		.ref_ctr_offsets = (uintptr_t)ref_ctr_offs,
		.cookies = (uintptr_t)cookies,
		.cnt = cnt,
		.multi_flags = returns ? UPROBE_MULTI_RETURN : 0,
		.pid = t->pid,
	};
	int fd = link_create(&attr);

	return fd < 0 ? fd : links_add(links, fd);
}

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

static int attach_perf(const struct uprobe_target *t, int prog_fd, uint64_t off, uint64_t ref_ctr_off, bool returns,
		       struct uprobe_links *links)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	int type = read_int("/sys/bus/event_source/devices/uprobe/type", "%d");
	int bit = read_int("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:%d");
	int fd, err;

	if (type < 0 || bit < 0)
		return -EOPNOTSUPP;
	attr.type = type;
	attr.config = returns ? 1ULL << bit : 0;
	attr.config |= ref_ctr_off << 32; /* PERF_UPROBE_REF_CTR_OFFSET_SHIFT */
	attr.config1 = (uintptr_t)t->path;
	attr.config2 = off;
	fd = syscall(SYS_perf_event_open, &attr, t->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		err = -errno;
		close(fd);
		return err;
	}
	return links_add(links, fd);
}

int uprobe__attach(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *ref_ctr_offs, size_t cnt,
		   bool returns, struct uprobe_links *links)
{
	int err = 0;

	if (t->multi)
		return attach_multi(t, prog_fd, offs, ref_ctr_offs, NULL, cnt, returns, links);
	for (size_t i = 0; i < cnt && !err; i++)
		err = attach_perf(t, prog_fd, offs[i], ref_ctr_offs ? ref_ctr_offs[i] : 0, returns, links);
	return err;
}

int uprobe__attach_cookies(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *cookies, size_t cnt,
			   struct uprobe_links *links)
{
	return t->multi ? attach_multi(t, prog_fd, offs, NULL, cookies, cnt, false, links) : -EOPNOTSUPP;
}

static void *close_one(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/* Each close waits for grace periods of the kernel; waiting for all at once keeps detach short. */
void uprobe_links__close(struct uprobe_links *links)
{
	pthread_t *threads = calloc(links->cnt, sizeof(*threads));
	size_t i, started = 0;

	for (i = 0; i < links->cnt; i++) {
		void *arg = (void *)(intptr_t)links->fds[i];

		if (threads && !pthread_create(&threads[started], NULL, close_one, arg))
			started++;
		else
			close_one(arg);
	}
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	free(links->fds);
	links->fds = NULL;
	links->cnt = 0;
}
