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
void proc_maps__free(struct proc_maps *m);
const struct proc_map *proc_maps__find(const struct proc_maps *m, uint64_t addr);

struct proc_status {
	uint64_t rss_bytes, peak_rss_bytes;
	uint64_t cpu_ns;        /* user + system of all its threads, /proc/PID/stat, tick resolution */
	uint64_t start_ticks;   /* field 22: with the pid it names this incarnation */
	pid_t ns_pid;           /* its pid in its own pid namespace */
	uid_t uid;              /* real */
	int threads;
	char state;             /* 'R', 'S', 'Z', ... */
	char comm[64];          /* raw: clean before showing */
};
int procfs__status(pid_t pid, struct proc_status *out);

/* Arguments joined by blanks, at most OUT_SIZE bytes, raw. */
int procfs__cmdline(pid_t pid, char *out, size_t out_size);
/* readlink of exe; " (deleted)" cut off. */
int procfs__exe(pid_t pid, char *out, size_t out_size);
/*
 * A path to open that very file from here, whatever the mount namespace and even if it was deleted: /proc/PID/map_files/...
 * or /proc/PID/root/PATH when the former is not permitted; checked against dev and inode. 0 or -errno.
 */
int procfs__open_path(pid_t pid, const struct proc_map *map, char *out, size_t out_size);
/* FS base of a thread as far as it can be had without stopping it: not here. See PyThreadState.thread_id. */

#endif
