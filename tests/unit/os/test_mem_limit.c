// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Limits as files say them: made-up machines below a directory, and this one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem_limit.h"

#define MIB (1024 * 1024ULL)
#define PID 42

static char root[64];

static void __attribute__((format(printf, 2, 3))) put(const char *path, const char *fmt, ...)
{
	char full[512];
	va_list args;
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(!mkdir(full, 0755) || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	va_start(args, fmt);
	vfprintf(file, fmt, args);
	va_end(args);
	fclose(file);
}

static void put_process(int pid, const char *cgroup)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/cgroup", pid);
	put(path, "%s", cgroup);
	snprintf(path, sizeof(path), "proc/%d/status", pid);
	put(path, "Name:\tpython3\nVmPeak:\t  300000 kB\nVmSize:\t  204800 kB\nVmRSS:\t   30000 kB\nVmData:\t  102400 kB\n");
	snprintf(path, sizeof(path), "proc/%d/limits", pid);
	put(path, "Limit                     Soft Limit           Hard Limit           Units     \n"
		  "Max data size             unlimited            unlimited            bytes     \n"
		  "Max resident set          unlimited            unlimited            bytes     \n"
		  "Max address space         unlimited            unlimited            bytes     \n");
}

static void put_level(const char *dir, bool v2, const char *limit, uint64_t used, uint64_t inactive)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, v2 ? "memory.max" : "memory.limit_in_bytes");
	put(path, "%s\n", limit);
	snprintf(path, sizeof(path), "%s/%s", dir, v2 ? "memory.current" : "memory.usage_in_bytes");
	put(path, "%llu\n", (unsigned long long)used);
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	put(path, "anon 4096\ninactive_file %llu\nactive_file 8192\ntotal_inactive_file %llu\n",
	    (unsigned long long)inactive, (unsigned long long)inactive);
	snprintf(path, sizeof(path), "%s/cgroup.type", dir);
	if (v2)
		put(path, "domain\n");
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                                       \
	"31 23 0:27 / /sys/fs/cgroup/cpu rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n"                               \
	"32 23 0:28 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory\n"                                 \
	"33 23 0:29 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n"

static void machine(const char *mountinfo, const char *cgroup)
{
	strcpy(root, "/tmp/mem-limit-XXXXXX");
	assert_non_null(mkdtemp(root));
	put("proc/self/mountinfo", "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n%s", mountinfo);
	put("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          524288 kB\nMemAvailable:    4194304 kB\n");
	put("sys/fs/cgroup/cgroup.procs", "%s", "");
	put("sys/fs/cgroup/memory/release_agent", "%s", "");
	put_process(PID, cgroup);
}

static void machine__remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
}

static struct mem_limit look_at(int pid)
{
	struct mem_limits *l = mem_limits__new(root);
	struct mem_limit limit;

	assert_non_null(l);
	assert_int_equal(mem_limit__of(l, pid, &limit), 0);
	mem_limits__free(l);
	return limit;
}

static struct mem_limit look(void)
{
	return look_at(PID);
}

static void is(struct mem_limit limit, enum mem_limit_kind kind, uint64_t bytes, uint64_t headroom, bool partial)
{
	assert_int_equal(limit.kind, kind);
	assert_int_equal(limit.bytes, bytes);
	assert_int_equal(limit.headroom_bytes, headroom);
	assert_int_equal(limit.partial, partial);
}

static void without_limits_it_is_the_host(void **state)
{
	(void)state;
	machine(V2_MOUNT, "0::/a/b\n");
	put_level("sys/fs/cgroup/a/b", true, "max", 300 * MIB, 0);
	put_level("sys/fs/cgroup/a", true, "max", 300 * MIB, 0);
	is(look(), MEM_LIMIT_HOST, 8192 * MIB, 4096 * MIB, false);
	assert_string_equal(mem_limit__name(look().kind), "host");
	machine__remove();
	/* a kernel without memory cgroups, and one without cgroups at all */
	machine("", "5:cpu,cpuacct:/x\n");
	is(look(), MEM_LIMIT_HOST, 8192 * MIB, 4096 * MIB, false);
	put_process(PID, "");
	is(look(), MEM_LIMIT_HOST, 8192 * MIB, 4096 * MIB, false);
	machine__remove();
}

static void v2_own_and_above(void **state)
{
	struct mem_limit one, two;

	(void)state;
	machine(V2_MOUNT, "0::/pod/one\n");
	put_level("sys/fs/cgroup/pod/one", true, "536870912", 300 * MIB, 50 * MIB);
	put_level("sys/fs/cgroup/pod", true, "max", 350 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 262 * MIB, false);
	/* the one above leaves less room, and its room belongs to all below it */
	put_level("sys/fs/cgroup/pod", true, "419430400", 350 * MIB, 10 * MIB);
	put_level("sys/fs/cgroup/pod/two", true, "max", 1 * MIB, 0);
	put_process(43, "0::/pod/two\n");
	one = look();
	two = look_at(43);
	is(one, MEM_LIMIT_CGROUP, 400 * MIB, 60 * MIB, false);
	is(two, MEM_LIMIT_CGROUP, 400 * MIB, 60 * MIB, false);
	assert_int_equal(one.owner, two.owner);
	assert_int_not_equal(one.owner, 0);
	/* nearly empty: a lower limit that leaves more room */
	put_level("sys/fs/cgroup/pod/one", true, "314572800", 10 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 400 * MIB, 60 * MIB, false);
	/* a level where the controller is off has no such files */
	put_process(44, "0::/pod/two/off/leaf\n");
	put("sys/fs/cgroup/pod/two/off/leaf/cgroup.type", "domain\n");
	is(look_at(44), MEM_LIMIT_CGROUP, 400 * MIB, 60 * MIB, false);
	machine__remove();
}

static void v2_high(void **state)
{
	(void)state;
	machine(V2_MOUNT, "0::/a\n");
	put_level("sys/fs/cgroup/a", true, "536870912", 100 * MIB, 0);
	put("sys/fs/cgroup/a/memory.high", "max\n");
	is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 412 * MIB, false);
	put("sys/fs/cgroup/a/memory.high", "209715200\n");
	is(look(), MEM_LIMIT_CGROUP_HIGH, 200 * MIB, 100 * MIB, false);
	assert_string_equal(mem_limit__name(look().kind), "cgroup-high");
	/* over it: no room, not a lot of it */
	put_level("sys/fs/cgroup/a", true, "536870912", 250 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP_HIGH, 200 * MIB, 0, false);
	machine__remove();
}

static void v1_own_and_above(void **state)
{
	static const char cgroup[] = "9:name=systemd:/x\n8:cpu,cpuacct:/elsewhere\n4:memory:/a/b\n0::/elsewhere\n";

	(void)state;
	machine(V1_MOUNT, cgroup);
	put_level("sys/fs/cgroup/memory", false, "9223372036854771712", 900 * MIB, 0);
	put_level("sys/fs/cgroup/memory/a", false, "9223372036854771712", 300 * MIB, 0);
	put_level("sys/fs/cgroup/memory/a/b", false, "9223372036854771712", 300 * MIB, 0);
	is(look(), MEM_LIMIT_HOST, 8192 * MIB, 4096 * MIB, false);
	/* nor is no limit taken for one where the host does not say what it has (before 3.14) */
	put("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          524288 kB\n");
	is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
	put_level("sys/fs/cgroup/memory/a/b", false, "524288000", 300 * MIB, 40 * MIB);
	is(look(), MEM_LIMIT_CGROUP, 500 * MIB, 240 * MIB, false);
	put_level("sys/fs/cgroup/memory/a", false, "419430400", 300 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 400 * MIB, 100 * MIB, false);
	/* which does not count what is below it */
	put("sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
	is(look(), MEM_LIMIT_CGROUP, 500 * MIB, 240 * MIB, false);
	machine__remove();
}

static void rlimits(void **state)
{
	(void)state;
	machine(V2_MOUNT, "0::/\n");
	put("proc/42/limits", "Limit   Soft Limit  Hard Limit  Units\nMax data size             unlimited            unlimited            bytes\n"
			      "Max address space         314572800            unlimited            bytes\n");
	is(look(), MEM_LIMIT_ADDRESS_SPACE, 300 * MIB, 100 * MIB, false);
	assert_int_equal(look().owner, 0);
	put("proc/42/limits", "Limit   Soft Limit  Hard Limit  Units\nMax data size             157286400            unlimited            bytes\n"
			      "Max address space         314572800            unlimited            bytes\n");
	is(look(), MEM_LIMIT_DATA, 150 * MIB, 50 * MIB, false);
	machine__remove();
}

/* From inside a cgroup namespace its own cgroup looks like the root, but is not. */
static void what_is_above_the_namespace_cannot_be_seen(void **state)
{
	(void)state;
	machine(V2_MOUNT, "0::/\n");
	put_level("sys/fs/cgroup", true, "536870912", 300 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 212 * MIB, true);
	machine__remove();
	machine(V1_MOUNT, "4:memory:/\n");
	put_level("sys/fs/cgroup/memory", false, "524288000", 300 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 500 * MIB, 200 * MIB, false);
	assert_int_equal(remove(strcat(strcpy((char[128]){0}, root), "/sys/fs/cgroup/memory/release_agent")), 0);
	is(look(), MEM_LIMIT_CGROUP, 500 * MIB, 200 * MIB, true);
	machine__remove();
}

static void other_namespaces(void **state)
{
	static const struct {
		const char *mount_root, *cgroup;
		bool seen;
	} cases[] = {
		{"/", "0::/../other\n", false},
		{"/", "0::/..\n", false},
		{"/..", "0::/../other\n", true},
		{"/..", "0::/../../other\n", false},
		{"/..", "0::/\n", false},
		{"/../..", "0::/../../other\n", true},
		{"/../..", "0::/../..other\n", false},
		{"/docker", "0::/docker/other\n", true},
		{"/docker", "0::/dockerother\n", false},
		{"/docker", "0::/\n", false},
		{"/elsewhere/other", "0::/other\n", false},
		{"/with\\040blank", "0::/with blank/other\n", true},
		{"/", "0::/other (deleted)\n", false},
	};
	char mount[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(mount, sizeof(mount), "30 23 0:26 %s /sys/fs/cgroup rw - cgroup2 none rw\n", cases[i].mount_root);
		machine(mount, cases[i].cgroup);
		put_level("sys/fs/cgroup/other", true, "536870912", 300 * MIB, 0);
		if (cases[i].seen)
			is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 212 * MIB, false);
		else
			is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
		machine__remove();
	}
	assert_null(mem_limit__name(MEM_LIMIT_UNKNOWN));
}

/* One mount shows too little; or it is covered by another, and there is nothing. */
static void the_mount_that_shows_it_is_taken(void **state)
{
	(void)state;
	machine("30 23 0:26 / /covered rw - cgroup2 none rw\n31 23 0:26 /docker /docker rw - cgroup2 none rw\n" V2_MOUNT, "0::/other\n");
	put_level("sys/fs/cgroup/other", true, "536870912", 300 * MIB, 0);
	is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 212 * MIB, false);
	put_process(PID, "0::/gone\n");
	is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
	machine__remove();
}

static void garbage_is_no_number(void **state)
{
	static const char *const bad[] = {"", "lots\n", "-1\n", "12x\n", "99999999999999999999999999\n", "0x10\n", " 5\n"};
	static const char *const files[] = {"sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/memory.high", "sys/fs/cgroup/a/memory.current"};

	(void)state;
	for (size_t f = 0; f < 3; f++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			machine(V2_MOUNT, "0::/a\n");
			put_level("sys/fs/cgroup/a", true, "536870912", 300 * MIB, 0);
			put(files[f], "%s", bad[i]);
			is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
			machine__remove();
		}
	}
	machine(V2_MOUNT, "0::/a\n");
	put_level("sys/fs/cgroup/a", true, "536870912", 300 * MIB, 0);
	put("sys/fs/cgroup/a/memory.stat", "anon 5\nxinactive_file 5\n");
	is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
	/* more to be dropped than there is */
	put("sys/fs/cgroup/a/memory.stat", "inactive_file 18446744073709551615\n");
	is(look(), MEM_LIMIT_CGROUP, 512 * MIB, 512 * MIB, false);
	machine__remove();
}

static void odd_texts(void **state)
{
	static const char *const cgroups[] = {":", "::", "0:", "0:memory", "\n\n:::\n", "4:memory", "0::", "memory", "4:mem,memory", "00::/a"};
	static const char *const mounts[] = {
		"30", "30 23 0:26 /", "30 23 0:26 / /x", "30 23 0:26 / /x rw -", "30 23 0:26 / /x rw - cgroup2", " - cgroup2 none rw",
		"30 23 0:26 / /x rw - cgroup cgroup", "30 23 0:26 / /x rw - cgroup none ", "        ", "30 23 0:26 / /x rw - cgroup cgroup ,,memory,",
	};
	struct mem_limit limit;

	(void)state;
	for (size_t m = 0; m < sizeof(mounts) / sizeof(mounts[0]); m++) {
		machine(mounts[m], "0::/a\n");
		is(look(), MEM_LIMIT_UNKNOWN, 0, 0, false);
		machine__remove();
	}
	for (size_t i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++) {
		machine(V2_MOUNT, cgroups[i]);
		limit = look(); /* no cgroup is the whole machine, or one that is not there */
		assert_true(limit.kind == MEM_LIMIT_HOST || limit.kind == MEM_LIMIT_UNKNOWN);
		machine__remove();
	}
}

static void no_such_process(void **state)
{
	struct mem_limit limit = {.kind = MEM_LIMIT_HOST};
	struct mem_limits *l;

	(void)state;
	machine(V2_MOUNT, "0::/a\n");
	l = mem_limits__new(root);
	assert_int_equal(mem_limit__of(l, 4711, &limit), -ESRCH);
	assert_int_equal(limit.kind, MEM_LIMIT_UNKNOWN);
	mem_limits__free(l);
	machine__remove();
}

static uint64_t size_of(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A child that limits itself; what it was given must be found, and the room be its limit less its size, by the kernel's own account. */
static void a_real_address_space(void **state)
{
	struct mem_limits *l = mem_limits__new("");
	struct mem_limit limit, before;
	int to[2], from[2], status;
	struct rlimit r;
	uint64_t used;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(mem_limit__of(l, getpid(), &before), 0);
	assert_int_not_equal(before.kind, MEM_LIMIT_UNKNOWN);
	assert_true(!pipe(to) && !pipe(from));
	pid = fork();
	if (!pid) {
		close(to[1]);
		r.rlim_cur = r.rlim_max = 1024 * MIB;
		_exit(setrlimit(RLIMIT_AS, &r) || write(from[1], "", 1) != 1 || read(to[0], &c, 1) != 0);
	}
	close(from[1]);
	assert_int_equal(read(from[0], &c, 1), 1);
	assert_int_equal(mem_limit__of(l, pid, &limit), 0);
	assert_int_equal(limit.kind, MEM_LIMIT_ADDRESS_SPACE);
	assert_int_equal(limit.bytes, 1024 * MIB);
	used = size_of(pid);
	assert_int_equal(limit.headroom_bytes, used < limit.bytes ? limit.bytes - used : 0);
	close(to[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(mem_limit__of(l, pid, &limit), -ESRCH);
	mem_limits__free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_it_is_the_host),
		cmocka_unit_test(v2_own_and_above),
		cmocka_unit_test(v2_high),
		cmocka_unit_test(v1_own_and_above),
		cmocka_unit_test(rlimits),
		cmocka_unit_test(what_is_above_the_namespace_cannot_be_seen),
		cmocka_unit_test(other_namespaces),
		cmocka_unit_test(the_mount_that_shows_it_is_taken),
		cmocka_unit_test(garbage_is_no_number),
		cmocka_unit_test(odd_texts),
		cmocka_unit_test(no_such_process),
		cmocka_unit_test(a_real_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
