/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The probes on the functions that stand in the allocator tables, and how they follow when others stand there: first the new
 * functions are probed, then the old ones are left, so that no call goes unseen; what is called inside of another one does not count.
 * The old functions' frees stay probed: the new functions often hand blocks of before on to them.
 */
#ifndef ALLOC_PROBES_H
#define ALLOC_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "allocators.h"
#include "uprobe.h"

#define ALLOC_PROBES_MAX 64

/* Descriptors: [0] for the object domains, [1] for raw functions. */
struct alloc_programs {
	int entry[2][OP_CNT], ret[2][OP_FREE];
	int large_realloc, large_ret; /* of a lookout */
};

struct alloc_probe {
	struct elf_file *elf;
	uint64_t off; /* in the file */
	bool raw;
	enum alloc_op op;
	struct uprobe_links links;
};

struct alloc_probes {
	struct alloc_programs programs;
	pid_t pid;     /* 0: all processes */
	bool multi;    /* each place has its PLACE_COOKIE */
	bool at_entry; /* at the functions' first instructions instead of the best */
	uint8_t arg_regs[2][OP_CNT][2]; /* without cookies: what all places of a program have in common */
	struct alloc_probe list[ALLOC_PROBES_MAX];
	size_t cnt;
};

/* Without cookies, before the programs are loaded: moves places in A to function entries until those of a program agree. */
void alloc_probes__agree(struct alloc_probes *p, struct allocators *a);
/*
 * Probes what is in A and is not probed yet; PATH: of the interpreter, NULL: as A has it. -EOPNOTSUPP: its arguments are elsewhere, and
 * there are no cookies.
 */
int alloc_probes__attach(struct alloc_probes *p, const struct allocators *a, const char *path);
/*
 * For a burst: with as few links as can be, as each takes the kernel time in which those that are placed are hit already. Of the functions
 * that are called all the time (HOT), or of the others only. The links go to MAKES (what makes blocks: malloc, calloc) and to OTHERS, also if
 * some could not be placed. P stays as it is.
 */
int alloc_probes__attach_briefly(const struct alloc_probes *p, const struct allocators *a, const char *path, bool hot,
				 struct uprobe_links *makes, struct uprobe_links *others);
/* For a lookout for large blocks, which only functions of the raw table make: their returns, and the entry of its realloc. -ENOENT: there is no such table. */
int alloc_probes__attach_large(const struct alloc_probes *p, const struct allocators *a, const char *path, struct uprobe_links *links);
/* Leaves what is not in A any more: only where A is all that is traced. */
void alloc_probes__retire(struct alloc_probes *p, const struct allocators *a);
/* All links go to LINKS, to be closed together. */
void alloc_probes__detach(struct alloc_probes *p, struct uprobe_links *links);

#endif
