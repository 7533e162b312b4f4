/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What ends a process that grows: the limit that leaves it the least room now, of
 *
 *  - its memory cgroup and all above it: memory.max and memory.high (v2), memory.limit_in_bytes (v1). Used is what the kernel counts for the whole
 *    cgroup, less inactive file pages, which it drops before it kills;
 *  - RLIMIT_AS against VmSize and RLIMIT_DATA against VmData (the soft limits: they make allocations fail);
 *  - the memory of the host: MemAvailable. Swap is not counted, here and above.
 *
 * Works from another mount or cgroup namespace than the process's as far as that can be seen. What cannot be seen is said.
 */
#ifndef MEM_LIMIT_H
#define MEM_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mem_limit_kind {
	MEM_LIMIT_UNKNOWN,
	MEM_LIMIT_CGROUP,        /* reached: killed */
	MEM_LIMIT_CGROUP_HIGH,   /* reached: throttled */
	MEM_LIMIT_ADDRESS_SPACE, /* reached: MemoryError */
	MEM_LIMIT_DATA,          /* the same */
	MEM_LIMIT_HOST,          /* reached: somebody is killed */
};

struct mem_limit {
	enum mem_limit_kind kind;
	uint64_t bytes, headroom_bytes;
	uint64_t owner; /* the same for all processes that use up the same limit; 0: it is the process's own */
	bool partial;   /* cgroups above what can be seen may have lower limits */
};

const char *mem_limit__name(enum mem_limit_kind kind); /* "cgroup-high": as in JSON; NULL: unknown */

/* What is known of this machine once for all processes. ROOT is put in front of all paths: "" but in tests. */
struct mem_limits;
struct mem_limits *mem_limits__new(const char *root); /* NULL: out of memory */
void mem_limits__free(struct mem_limits *l);
/*
 * The limit of a process. Unknown, and 0, when not even its own cgroup can be seen; unknown, and -ESRCH and the like, when there is no such
 * process.
 */
int mem_limit__of(const struct mem_limits *l, pid_t pid, struct mem_limit *out);

#endif
