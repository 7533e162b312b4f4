// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "process.h"

struct process process__live(pid_t pid)
{
	return (struct process){ .pid = pid };
}

struct process process__of_core(struct core_file *core)
{
	return (struct process){ .pid = core_file__pid(core), .core = core };
}

struct remote process__remote(const struct process *p)
{
	return p->core ? core_file__remote(p->core) : remote__process(p->pid);
}

int process__maps(const struct process *p, struct proc_maps *out)
{
	return p->core ? core_file__maps(p->core, out) : procfs__maps(p->pid, out);
}

int process__status(const struct process *p, struct proc_status *out)
{
	if (!p->core)
		return procfs__status(p->pid, out);
	core_file__status(p->core, out);
	return 0;
}

int process__memory(const struct process *p, struct proc_memory *out)
{
	if (!p->core)
		return procfs__memory(p->pid, out);
	core_file__memory(p->core, out);
	return 0;
}

int process__run_ns(const struct process *p, uint64_t *ns)
{
	if (!p->core)
		return procfs__run_ns(p->pid, ns);
	*ns = 0;
	return 0;
}

int process__exe(const struct process *p, char *out, size_t out_size)
{
	return p->core ? core_file__exe(p->core, out, out_size) : procfs__exe(p->pid, out, out_size);
}

int process__open_path(const struct process *p, const struct proc_map *map, char *out, size_t out_size)
{
	return p->core ? core_file__open_path(p->core, map, out, out_size) : procfs__open_path(p->pid, map, out, out_size);
}

int process__open_pagemap(const struct process *p, struct pagemap *out)
{
	const struct page_range *pages;
	size_t cnt;

	if (!p->core)
		return pagemap__open(out, p->pid);
	cnt = core_file__pages(p->core, &pages);
	pagemap__of_list(out, pages, cnt);
	return 0;
}

bool process__gap(const struct process *p, char *out, size_t out_size)
{
	return p->core && core_file__gap(p->core, out, out_size);
}
