/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Optimised builds inline the allocator behind "if (fn == _PyObject_Malloc)". Writing another address with the same effect into
 * the tables makes each such guard fail, so that every allocation reaches the probed entry. Each word is checked before it is
 * written and restored only while it still holds what we wrote. A guardian process restores it if the tracer is killed.
 */
#ifndef REDIRECT_H
#define REDIRECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct redirect; /* opaque */

struct redirect_word {
	uint64_t addr, original, alias;
};

/*
 * Forks the guardian, then writes all words (aligned 8-byte stores). A word that holds the alias already is another
 * tracer's work and fine. -EBUSY: a word held something else; then nothing is left changed. START_TICKS tells this incarnation of PID.
 */
int redirect__apply(pid_t pid, uint64_t start_ticks, const struct redirect_word *words, size_t cnt, struct redirect **out);
/* Another tracer of the same process may have put the words back when it ended: writes them again. */
void redirect__hold(const struct redirect *r);
/* Restores the target and those children of it that inherited the words; ends the guardian. NULL is fine. */
void redirect__undo(struct redirect *r);

#endif
