/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps in which an engine's programs keep what they counted of all its processes: cleared of those that ended, copied for a forked child. */
#ifndef BOOKS_H
#define BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"

/* Descriptors, owned by the engine. */
struct books {
	int fresh_fd, old_fd, groups_fd, stacks_fd, stack_ids_fd, codes_fd, not_inherited_fd;
	int inherit_fd; /* the program that copies one block */
};

/* Removes all that is of a slot that IS_DEAD. 0 or -errno: some of it may still be there. */
int books__sweep(const struct books *b, bool (*is_dead)(const void *ctx, uint32_t slot), const void *ctx);

/* One process: its slot, the state that the programs have of it, and its recent blocks. */
struct bookkeeper {
	uint32_t slot;
	struct proc_state *state;
	const struct young *young;
	size_t young_cnt;
};

/*
 * Copies what PARENT had when CHILD was forked; both may be running. Afterwards PARENT lends no more. -ENOENT: it did not. -errno: some
 * are missing, and counted as lost.
 */
int books__inherit(const struct books *b, const struct bookkeeper *parent, const struct bookkeeper *child);

#endif
