/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory limits of cgroups, v1 and v2, as far as our own mounts show them. /proc/PID/cgroup and our mountinfo name cgroups relative to the
 * root of *our* cgroup namespace (cgroup_path_ns, cgroup_show_path), so both may begin with /.. and are compared as text.
 */
#ifndef MEM_CGROUP_H
#define MEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_CGROUP_MOUNTS_MAX 8

struct mem_cgroup_mount {
	bool v2;
	char root[1024]; /* which cgroup is mounted; "" for the root of the namespace */
	char point[1024];
};

struct mem_cgroups {
	struct mem_cgroup_mount mounts[MEM_CGROUP_MOUNTS_MAX];
	size_t cnt;
};

/* By the lines of a mountinfo; what does not fit is left out. */
void mem_cgroups__parse(const char *mountinfo, struct mem_cgroups *out);

enum mem_cgroup_seen {
	MEM_CGROUP_NONE,    /* no memory cgroups on this kernel */
	MEM_CGROUP_NOTHING, /* not even the process's own */
	MEM_CGROUP_PART,    /* some above it not */
	MEM_CGROUP_ALL,
};

struct mem_cgroup_limit {
	bool high; /* memory.high */
	uint64_t bytes, headroom_bytes;
	uint64_t inode; /* of the cgroup */
};

/*
 * TEXT: of /proc/PID/cgroup. ROOT: put in front of mount points. ON_LIMIT is called for each limit that is set, from the process's own
 * cgroup upwards.
 */
enum mem_cgroup_seen mem_cgroup__limits(const struct mem_cgroups *mounts, const char *root, const char *text,
					void (*on_limit)(void *ctx, const struct mem_cgroup_limit *limit), void *ctx);

/*
 * The directory of the cgroup (v2) that TEXT, of /proc/PID/cgroup, names; whether it is there is not looked at. -ENOENT: there is none, or it is not
 * below one of these mounts; -ENAMETOOLONG.
 */
int mem_cgroups__v2_dir(const struct mem_cgroups *mounts, const char *text, char *out, size_t out_size);

#endif
