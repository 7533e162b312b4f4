/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What /proc tells of a process. All text is bounded; every error is -errno (-ESRCH: no such process). */
#ifndef PROCFS_H
#define PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_map {
	uint64_t start, end, file_off;
	bool r, w, x;
	uint64_t dev, inode; /* dev as makedev(); inode 0: anonymous */
	bool deleted;
	char *path; /* NULL for none; "[heap]" and the like kept as they are; " (deleted)" cut off */
};

struct proc_maps {
	struct proc_map *maps;
	size_t cnt;
};

/* -EAGAIN: it is in the middle of exec and has no mappings. */
int procfs__maps(pid_t pid, struct proc_maps *out);
/* Pure, as all that is called ..__parse() here: TEXT is what the file says, and is cut up. -EINVAL, -ENOMEM: OUT is empty. */
int proc_maps__parse(char *text, struct proc_maps *out);
void proc_maps__free(struct proc_maps *m);
const struct proc_map *proc_maps__find(const struct proc_maps *m, uint64_t addr);
/* -ENOENT: nothing is mapped there. */
int proc_maps__file_off(const struct proc_maps *m, uint64_t addr, uint64_t *off);

struct proc_status {
	uint64_t rss_bytes, peak_rss_bytes, swap_bytes;
	uint64_t cpu_ns;        /* user + system of all its threads, /proc/PID/stat, tick resolution */
	uint64_t start_ticks;   /* field 22: with the pid it names this incarnation */
	pid_t ppid;
	pid_t ns_pid;           /* its pid in its own pid namespace */
	uid_t uid;              /* real */
	int threads;
	char state;             /* 'R', 'S', 'Z', ... */
	char comm[64];          /* raw: clean before showing */
};
int procfs__status(pid_t pid, struct proc_status *out);
/* By /proc/PID/stat and .../status. -EINVAL. */
int proc_status__parse(char *stat, const char *status, pid_t pid, struct proc_status *out);

/* Arguments joined by blanks, at most OUT_SIZE bytes, raw. */
int procfs__cmdline(pid_t pid, char *out, size_t out_size);
/* readlink of exe; " (deleted)" cut off. */
int procfs__exe(pid_t pid, char *out, size_t out_size);
/*
 * A path to open that very file from here, whatever the mount namespace and even if it was deleted: /proc/PID/map_files/...
 * or /proc/PID/root/PATH when the former is not permitted; checked against dev and inode. 0 or -errno.
 */
int procfs__open_path(pid_t pid, const struct proc_map *map, char *out, size_t out_size);
/* As much of cgroup as fits, NUL-terminated; its length. */
ssize_t procfs__cgroup(pid_t pid, char *out, size_t out_size);
/* The whole of mountinfo, owned by the caller. */
int procfs__mountinfo(pid_t pid, char **out);

/* Are pids as we see them those of the kernel itself, or are we in a pid namespace of our own? */
bool procfs__in_initial_pid_namespace(void);
/*
 * Does /proc show our own pid namespace? If not, its numbers mean other processes to kill() and process_vm_readv(). 0, -EXDEV, or
 * -ENOENT: there is no /proc.
 */
int procfs__check_namespace(void);
/* FS base of a thread as far as it can be had without stopping it: not here. See PyThreadState.thread_id. */

/* Resident memory by kind of mapping: /proc/PID/smaps. They add up to RSS_BYTES. */
struct proc_memory {
	uint64_t rss_bytes;
	uint64_t anon_bytes;  /* private and anonymous, no stack */
	uint64_t stack_bytes; /* the main thread's, and mappings behind a guard that only stacks have */
	uint64_t file_bytes;  /* of files, with what was written to them, and of shared memory */
};
int procfs__memory(pid_t pid, struct proc_memory *out);
void proc_memory__parse(char *smaps, struct proc_memory *out);

/*
 * How long all its threads have run, together: /proc/PID/task/TID/schedstat. The same number twice: none of them ran in between. -ENOENT: the kernel does
 * not tell (CONFIG_SCHED_INFO), or there are too many.
 */
int procfs__run_ns(pid_t pid, uint64_t *ns);
/* How often its threads have waited for something, together: /proc/PID/task/TID/status. -ENOENT: there are too many. */
int procfs__waits(pid_t pid, uint64_t *cnt);

/* Resident memory that is no file's (RSS less what is shared with files and others); 0 when it cannot be read. */
int64_t procfs__anon_bytes(pid_t pid);

/* What can be allocated on this host without swapping (MemAvailable); 0 when it cannot be read. */
uint64_t procfs__available_bytes(void);

#endif
