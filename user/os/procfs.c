// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "procfs.h"

#include "overlay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAPS_MAX_BYTES (64u << 20)

enum {
	THREADS_MAX = 4096, /* whose run times are added up */
	GUARD_MAX_BYTES = 1 << 16,
};

static const char deleted_suffix[] = " (deleted)";

static int open_proc(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

/* At most SIZE bytes; returns how many, or -errno. */
static ssize_t read_up_to(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, out + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += n;
	}
	return len;
}

/* Fills OUT and ends it with a NUL; returns the length, or -errno. */
static ssize_t read_small(pid_t pid, const char *name, char *out, size_t out_size)
{
	int fd = open_proc(pid, name);
	ssize_t len;

	if (fd < 0)
		return fd;
	len = read_up_to(fd, out, out_size - 1);
	close(fd);
	if (len >= 0)
		out[len] = '\0';
	return len;
}

/* The whole file, NUL-terminated, owned by the caller. */
static int read_all(pid_t pid, const char *name, char **out)
{
	size_t len = 0, capacity = 0;
	char *s = NULL, *bigger;
	int err = 0, fd;
	ssize_t n;

	fd = open_proc(pid, name);
	if (fd < 0)
		return fd;
	do {
		capacity = capacity ? capacity * 2 : 16384;
		bigger = capacity <= MAPS_MAX_BYTES ? realloc(s, capacity + 1) : NULL;
		if (!bigger) {
			err = capacity <= MAPS_MAX_BYTES ? -ENOMEM : -E2BIG;
			goto out;
		}
		s = bigger;
		n = read_up_to(fd, s + len, capacity - len);
		if (n < 0) {
			err = n;
			goto out;
		}
		len += n;
	} while (len == capacity);
	s[len] = '\0';
	*out = s;
	s = NULL;
out:
	free(s);
	close(fd);
	return err;
}

static bool cut_deleted(char *path)
{
	size_t len = strlen(path), cut = sizeof(deleted_suffix) - 1;

	if (len < cut || strcmp(path + len - cut, deleted_suffix) != 0)
		return false;
	path[len - cut] = '\0';
	return true;
}

static int parse_map(char *line, struct proc_map *m)
{
	unsigned int dev_major, dev_minor;
	unsigned long start, end, off, inode;
	char perms[5];
	int path_at = 0;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &start, &end, perms, &off, &dev_major, &dev_minor,
		   &inode, &path_at) < 7)
		return -EINVAL;
	*m = (struct proc_map){
		.start = start, .end = end, .file_off = off,
		.r = perms[0] == 'r', .w = perms[1] == 'w', .x = perms[2] == 'x',
		.dev = makedev(dev_major, dev_minor), .inode = inode,
	};
	if (!path_at || !line[path_at])
		return 0;
	m->deleted = inode && cut_deleted(line + path_at);
	m->path = strdup(line + path_at);
	return m->path ? 0 : -ENOMEM;
}

static size_t count_lines(const char *s)
{
	size_t cnt = 0;

	while ((s = strchr(s, '\n'))) {
		s++;
		cnt++;
	}
	return cnt;
}

/* A zombie and a kernel thread have the file, but nothing in it; a process in the middle of exec, too. */
static int why_no_maps(pid_t pid)
{
	char exe[8];

	return procfs__exe(pid, exe, sizeof(exe)) ? -ESRCH : -EAGAIN;
}

int proc_maps__parse(char *text, struct proc_maps *out)
{
	char *line, *save = NULL;
	int err = 0;

	*out = (struct proc_maps){ .maps = calloc(count_lines(text) + 1, sizeof(*out->maps)) };
	if (!out->maps)
		return -ENOMEM;
	for (line = strtok_r(text, "\n", &save); line && !err; line = strtok_r(NULL, "\n", &save)) {
		err = parse_map(line, &out->maps[out->cnt]);
		if (!err)
			out->cnt++;
	}
	if (err)
		proc_maps__free(out);
	return err;
}

int procfs__maps(pid_t pid, struct proc_maps *out)
{
	char *text = NULL;
	int err;

	*out = (struct proc_maps){ 0 };
	err = read_all(pid, "maps", &text);
	if (!err)
		err = proc_maps__parse(text, out);
	if (!err && !out->cnt)
		err = why_no_maps(pid);
	if (err)
		proc_maps__free(out);
	free(text);
	return err;
}

void proc_maps__free(struct proc_maps *m)
{
	for (size_t i = 0; i < m->cnt; i++)
		free(m->maps[i].path);
	free(m->maps);
	*m = (struct proc_maps){ 0 };
}

const struct proc_map *proc_maps__find(const struct proc_maps *m, uint64_t addr)
{
	size_t low = 0, high = m->cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (addr < m->maps[mid].start)
			high = mid;
		else if (addr >= m->maps[mid].end)
			low = mid + 1;
		else
			return &m->maps[mid];
	}
	return NULL;
}

int proc_maps__file_off(const struct proc_maps *m, uint64_t addr, uint64_t *off)
{
	const struct proc_map *map = proc_maps__find(m, addr);

	if (!map)
		return -ENOENT;
	*off = addr - map->start + map->file_off;
	return 0;
}

/* comm may hold blanks and parentheses: it ends at the last one. */
static int parse_stat(char *text, struct proc_status *out)
{
	char *comm = strchr(text, '('), *end = strrchr(text, ')');
	unsigned long long utime, stime, start;
	long threads, tick_ns = 1000000000L / sysconf(_SC_CLK_TCK);

	if (!comm || !end || end < comm)
		return -EINVAL;
	*end = '\0';
	snprintf(out->comm, sizeof(out->comm), "%s", comm + 1);
	if (sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d %llu",
		   &out->state, &out->ppid, &utime, &stime, &threads, &start) != 6)
		return -EINVAL;
	out->cpu_ns = (utime + stime) * tick_ns;
	out->start_ticks = start;
	out->threads = threads;
	return 0;
}

static const char *find_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? at + strlen(name) : NULL;
}

static uint64_t parse_kib(const char *text, const char *name)
{
	const char *at = find_field(text, name);

	return at ? strtoull(at, NULL, 10) * 1024 : 0;
}

static void parse_status(const char *text, pid_t pid, struct proc_status *out)
{
	const char *at = find_field(text, "\nUid:");
	char *end;

	out->uid = at ? strtoul(at, NULL, 10) : 0;
	out->rss_bytes = parse_kib(text, "\nVmRSS:");
	out->peak_rss_bytes = parse_kib(text, "\nVmHWM:");
	out->swap_bytes = parse_kib(text, "\nVmSwap:");
	out->ns_pid = pid;
	/* One number per namespace, from ours to the innermost. */
	at = find_field(text, "\nNSpid:");
	while (at && *at != '\n' && *at) {
		long value = strtol(at, &end, 10);

		if (end == at)
			break;
		out->ns_pid = value;
		at = end + strspn(end, " \t");
	}
}

int proc_status__parse(char *stat, const char *status, pid_t pid, struct proc_status *out)
{
	int err;

	*out = (struct proc_status){ 0 };
	err = parse_stat(stat, out);
	if (!err)
		parse_status(status, pid, out);
	return err;
}

int procfs__status(pid_t pid, struct proc_status *out)
{
	char stat[4096], status[8192];
	ssize_t len;

	*out = (struct proc_status){ 0 };
	len = read_small(pid, "stat", stat, sizeof(stat));
	if (len >= 0)
		len = read_small(pid, "status", status, sizeof(status));
	return len < 0 ? (int)len : proc_status__parse(stat, status, pid, out);
}

int procfs__cmdline(pid_t pid, char *out, size_t out_size)
{
	ssize_t len;

	if (!out_size)
		return -EINVAL;
	len = read_small(pid, "cmdline", out, out_size);
	if (len < 0)
		return len;
	while (len > 0 && !out[len - 1])
		len--;
	for (ssize_t i = 0; i < len; i++)
		if (!out[i])
			out[i] = ' ';
	return 0;
}

int procfs__exe(pid_t pid, char *out, size_t out_size)
{
	char path[64];
	ssize_t len;

	if (!out_size)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	len = readlink(path, out, out_size - 1);
	if (len < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	out[len] = '\0';
	cut_deleted(out);
	return 0;
}

ssize_t procfs__cgroup(pid_t pid, char *out, size_t out_size)
{
	return out_size ? read_small(pid, "cgroup", out, out_size) : -EINVAL;
}

int procfs__mountinfo(pid_t pid, char **out)
{
	return read_all(pid, "mountinfo", out);
}

bool procfs__in_initial_pid_namespace(void)
{
	struct stat st;

	/* include/linux/proc_ns.h, PROC_PID_INIT_INO: the same since 3.8 */
	return !stat("/proc/self/ns/pid", &st) && st.st_ino == 0xeffffffcu;
}

int procfs__check_namespace(void)
{
	char self[32] = "", text[8192];
	const char *at;
	char *end;
	ssize_t len;

	if (access("/proc/version", F_OK))
		return -ENOENT;
	/* Of a namespace that we are not in at all there is no self. */
	if (readlink("/proc/self", self, sizeof(self) - 1) <= 0 || atoi(self) != getpid())
		return -EXDEV;
	len = read_small(getpid(), "status", text, sizeof(text));
	at = len > 0 ? find_field(text, "\nNSpid:") : NULL;
	/* From the namespace of this /proc to ours: more than one number is an ancestor's /proc (kernels before 4.1 do not say). */
	if (!at)
		return 0;
	strtol(at, &end, 10);
	end += strspn(end, " \t");
	return *end == '\n' || !*end ? 0 : -EXDEV;
}

/*
 * maps shows the inode of the file below an overlay, stat() the overlay's own (until 6.8): there only the inode number
 * can be compared, and not always that.
 */
static bool is_file_of(const char *path, const struct proc_map *map, bool exact)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	if (st.st_ino == map->inode && st.st_dev == map->dev)
		return true;
	if (exact && st.st_ino != map->inode)
		return false;
	return !exact || overlay__is_below(path);
}

static bool is_executable(pid_t pid, const struct proc_map *map)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !stat(path, &st) && st.st_ino == map->inode && st.st_dev == map->dev && !access(path, R_OK);
}

int procfs__open_path(pid_t pid, const struct proc_map *map, char *out, size_t out_size)
{
	int n;

	if (!map->inode)
		return -EINVAL;
	n = snprintf(out, out_size, "/proc/%d/map_files/%lx-%lx", pid, (unsigned long)map->start,
		     (unsigned long)map->end);
	if (n < 0 || (size_t)n >= out_size)
		return -ENAMETOOLONG;
	/* The link is the mapped file itself; it may only be missing or forbidden. */
	if (!access(out, R_OK) && is_file_of(out, map, false))
		return 0;
	/* Nor is the executable's own link ever led astray. */
	if (is_executable(pid, map)) {
		n = snprintf(out, out_size, "/proc/%d/exe", pid);
		return n < 0 || (size_t)n >= out_size ? -ENAMETOOLONG : 0;
	}
	if (map->deleted || !map->path || map->path[0] != '/')
		return -ENOENT;
	n = snprintf(out, out_size, "/proc/%d/root%s", pid, map->path);
	if (n < 0 || (size_t)n >= out_size)
		return -ENAMETOOLONG;
	if (access(out, R_OK))
		return -errno;
	return is_file_of(out, map, true) ? 0 : -ESTALE;
}

struct memory_sum {
	struct proc_memory *out;
	uint64_t guard_end; /* of the mapping before, if nobody may use it and it is as small as the guard of a stack */
	uint64_t *kind;
};

/* The line that begins a mapping. */
static bool sum_map(struct memory_sum *sum, const char *line)
{
	unsigned long long start, end;
	unsigned long inode;
	char perms[5], name[32] = "";
	bool guarded, anonymous;

	if (sscanf(line, "%llx-%llx %4s %*x %*x:%*x %lu %31[^\n]", &start, &end, perms, &inode, name) < 4)
		return false;
	guarded = sum->guard_end == start;
	sum->guard_end = !strncmp(perms, "---", 3) && end - start <= GUARD_MAX_BYTES ? end : 0;
	anonymous = !inode && perms[3] == 'p';
	if (!strcmp(name, "[stack]") || (anonymous && guarded && perms[1] == 'w'))
		sum->kind = &sum->out->stack_bytes;
	else
		sum->kind = anonymous ? &sum->out->anon_bytes : &sum->out->file_bytes;
	return true;
}

void proc_memory__parse(char *text, struct proc_memory *out)
{
	struct memory_sum sum = { .out = out };
	unsigned long long kib;
	char *line, *save = NULL;

	*out = (struct proc_memory){ 0 };
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sum_map(&sum, line) || !sum.kind || sscanf(line, "Rss: %llu kB", &kib) != 1)
			continue;
		*sum.kind += kib << 10;
		out->rss_bytes += kib << 10;
	}
}

int procfs__memory(pid_t pid, struct proc_memory *out)
{
	char *text;
	int err;

	*out = (struct proc_memory){ 0 };
	err = read_all(pid, "smaps", &text);
	if (err)
		return err;
	proc_memory__parse(text, out);
	free(text);
	return 0;
}

/* Of all its threads, the sum of what OF says of each file NAME. */
static int sum_threads(pid_t pid, const char *name, bool (*of)(const char *text, unsigned long long *value), uint64_t *sum)
{
	char path[300], text[4096];
	unsigned long long thread;
	const struct dirent *entry;
	int err = 0, cnt = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	*sum = 0;
	while (!err && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "task/%s/%s", entry->d_name, name);
		if (++cnt > THREADS_MAX || read_small(pid, path, text, sizeof(text)) <= 0 || !of(text, &thread))
			err = -ENOENT;
		else
			*sum += thread;
	}
	closedir(dir);
	return err;
}

static bool run_ns_of(const char *text, unsigned long long *value)
{
	return sscanf(text, "%llu", value) == 1;
}

int procfs__run_ns(pid_t pid, uint64_t *ns)
{
	return sum_threads(pid, "schedstat", run_ns_of, ns);
}

static bool waits_of(const char *text, unsigned long long *value)
{
	const char *at = find_field(text, "\nvoluntary_ctxt_switches:");

	return at && sscanf(at, "%llu", value) == 1;
}

int procfs__waits(pid_t pid, uint64_t *cnt)
{
	return sum_threads(pid, "status", waits_of, cnt);
}

int64_t procfs__anon_bytes(pid_t pid)
{
	long long size, resident, shared;
	char text[256];

	if (read_small(pid, "statm", text, sizeof(text)) <= 0 || sscanf(text, "%lld %lld %lld", &size, &resident, &shared) != 3)
		return 0;
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

uint64_t procfs__available_bytes(void)
{
	unsigned long long kib = 0;
	char text[8192];
	const char *line;
	ssize_t len;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	len = read_up_to(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	line = strstr(text, "\nMemAvailable:");
	return line && sscanf(line, "\nMemAvailable: %llu kB", &kib) == 1 ? kib << 10 : 0;
}
