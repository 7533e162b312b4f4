/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process to be read from outside: one that lives, or one that a core file holds. What is the same of both is asked here, as procfs.h, pagemap.h and
 * remote.h say it of a live one.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "core_file.h"
#include "pagemap.h"
#include "procfs.h"
#include "remote.h"

struct process {
	pid_t pid;              /* 0: a core that does not say */
	struct core_file *core; /* NULL: it lives. Not owned */
};

struct process process__live(pid_t pid);
struct process process__of_core(struct core_file *core);

/* Does nothing change in it while it is read? */
static inline bool process__is_still(const struct process *p)
{
	return p->core;
}

struct remote process__remote(const struct process *p);
int process__maps(const struct process *p, struct proc_maps *out);
int process__status(const struct process *p, struct proc_status *out);
int process__memory(const struct process *p, struct proc_memory *out);
int process__run_ns(const struct process *p, uint64_t *ns);
int process__exe(const struct process *p, char *out, size_t out_size);
int process__open_path(const struct process *p, const struct proc_map *map, char *out, size_t out_size);
int process__open_pagemap(const struct process *p, struct pagemap *out);

/* As core_file__gap(); false of a live one. */
bool process__gap(const struct process *p, char *out, size_t out_size);

#endif
