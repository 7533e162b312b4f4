/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which pages of a process exist: /proc/PID/pagemap. A page that was never touched must not be read from outside, which would
 * give the process page tables for it; nor one that is swapped out, which would bring it back into its memory.
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGEMAP_RANGES = 256 };

struct page_range {
	uint64_t start, end;
	/*
	 * Or being moved by the kernel, or a guard that one before 6.16 does not tell from it: nothing is swapped out where VmSwap is 0. Else
	 * present, and not the kernel's page of zeros as far as it tells (6.7+).
	 */
	bool swapped;
};

struct pagemap {
	int fd;
	bool scan; /* PAGEMAP_SCAN: Linux 6.7, fs/proc/task_mmu.c. Holes then cost nothing */
	uint64_t unwanted; /* categories of pages that are not worth reading */
	uint64_t at, end;
	bool listed; /* they are known beforehand: LIST_CNT in LIST */
	const struct page_range *list;
	size_t list_cnt;
	struct page_range ranges[PAGEMAP_RANGES];
	size_t cnt, next;
};

/* -ESRCH, -EPERM, -ENOENT (no such file in this kernel). */
int pagemap__open(struct pagemap *p, pid_t pid);
/* The pages of LIST, by address, none twice; it must outlive P. */
void pagemap__of_list(struct pagemap *p, const struct page_range *list, size_t cnt);
void pagemap__close(struct pagemap *p);
/* From now on pagemap__next tells of [start, end), both page-aligned. */
void pagemap__look_at(struct pagemap *p, uint64_t start, uint64_t end);
/* In order of addresses; neighbours may come as two. 1, 0 at the end, or -errno. */
int pagemap__next(struct pagemap *p, struct page_range *out);

#endif
