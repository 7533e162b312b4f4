// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "mem_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem_cgroup.h"

#define MOUNTINFO_MAX (4u << 20)

struct mem_limits {
	char root[512];
	struct mem_cgroups cgroups;
};

const char *mem_limit__name(enum mem_limit_kind kind)
{
	static const char *const names[] = {
		[MEM_LIMIT_CGROUP] = "cgroup",
		[MEM_LIMIT_CGROUP_HIGH] = "cgroup-high",
		[MEM_LIMIT_ADDRESS_SPACE] = "address-space",
		[MEM_LIMIT_DATA] = "data",
		[MEM_LIMIT_HOST] = "host",
	};

	return names[kind];
}

/* At most SIZE - 1 bytes of a file below ROOT's /proc, NUL-terminated. 0 or -errno. */
static int read_proc(const struct mem_limits *l, const char *name, char *out, size_t size)
{
	char path[600];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/proc/%s", l->root, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do {
		n = read(fd, out + len, size - 1 - len);
		if (n > 0)
			len += n;
	} while (n > 0 && len < size - 1);
	close(fd);
	out[len] = '\0';
	return n < 0 ? -ESRCH : 0;
}

static int read_proc_pid(const struct mem_limits *l, pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	return read_proc(l, path, out, size);
}

struct mem_limits *mem_limits__new(const char *root)
{
	struct mem_limits *l = calloc(1, sizeof(*l));
	char *text = malloc(MOUNTINFO_MAX);

	if (!l || !text) {
		free(l);
		free(text);
		return NULL;
	}
	snprintf(l->root, sizeof(l->root), "%s", root);
	if (!read_proc(l, "self/mountinfo", text, MOUNTINFO_MAX))
		mem_cgroups__parse(text, &l->cgroups);
	free(text);
	return l;
}

void mem_limits__free(struct mem_limits *l)
{
	free(l);
}

static void take(struct mem_limit *best, enum mem_limit_kind kind, uint64_t bytes, uint64_t headroom, uint64_t owner)
{
	if (best->kind == MEM_LIMIT_UNKNOWN || headroom < best->headroom_bytes)
		*best = (struct mem_limit){ .kind = kind, .bytes = bytes, .headroom_bytes = headroom, .owner = owner };
}

static void on_cgroup(void *ctx, const struct mem_cgroup_limit *limit)
{
	take(ctx, limit->high ? MEM_LIMIT_CGROUP_HIGH : MEM_LIMIT_CGROUP, limit->bytes, limit->headroom_bytes, limit->inode);
}

/* The number after NAME at the beginning of a line; -EINVAL: no such line, or no number. */
static int number_of(const char *text, const char *name, uint64_t *value)
{
	const char *at = strstr(text, name);
	char *end;

	if (!at)
		return -EINVAL;
	at += strlen(name);
	at += strspn(at, " \t");
	if (*at < '0' || *at > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(at, &end, 10);
	return errno ? -EINVAL : 0;
}

static int kib_of(const char *text, const char *name, uint64_t *bytes)
{
	int err = number_of(text, name, bytes);

	if (err || *bytes > UINT64_MAX / 1024)
		return -EINVAL;
	*bytes *= 1024;
	return 0;
}

/* "unlimited" is no number. */
static void take_rlimit(struct mem_limit *best, enum mem_limit_kind kind, const char *limits, const char *name, const char *status,
			const char *used_name)
{
	uint64_t bytes, used;

	if (!number_of(limits, name, &bytes) && !kib_of(status, used_name, &used))
		take(best, kind, bytes, bytes > used ? bytes - used : 0, 0);
}

static void take_host(const struct mem_limits *l, struct mem_limit *best)
{
	uint64_t total, available;
	char text[8192] = "\n";

	if (!read_proc(l, "meminfo", text + 1, sizeof(text) - 1) && !kib_of(text, "\nMemTotal:", &total) &&
	    !kib_of(text, "\nMemAvailable:", &available))
		take(best, MEM_LIMIT_HOST, total, available, UINT64_MAX);
}

int mem_limit__of(const struct mem_limits *l, pid_t pid, struct mem_limit *out)
{
	char cgroup[16384], limits[8192], status[8192];
	enum mem_cgroup_seen seen;
	int err;

	*out = (struct mem_limit){ 0 };
	err = read_proc_pid(l, pid, "status", status, sizeof(status));
	err = err ?: read_proc_pid(l, pid, "limits", limits, sizeof(limits));
	if (err)
		return err;
	if (read_proc_pid(l, pid, "cgroup", cgroup, sizeof(cgroup)))
		*cgroup = '\0'; /* a kernel without cgroups */
	seen = mem_cgroup__limits(&l->cgroups, l->root, cgroup, on_cgroup, out);
	if (seen == MEM_CGROUP_NOTHING) {
		*out = (struct mem_limit){ 0 };
		return 0;
	}
	take_rlimit(out, MEM_LIMIT_ADDRESS_SPACE, limits, "\nMax address space", status, "\nVmSize:");
	take_rlimit(out, MEM_LIMIT_DATA, limits, "\nMax data size", status, "\nVmData:");
	take_host(l, out);
	out->partial = out->kind && seen == MEM_CGROUP_PART;
	return 0;
}
