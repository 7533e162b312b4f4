/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Optimised builds inline the allocator behind "if (fn == _PyObject_Malloc)". Writing another address with the same effect into
 * the tables makes each such guard fail, so that every allocation reaches the probed entry. Each word is checked before it is
 * written and restored only while it still holds what we wrote. One guardian process restores all of them if the tracer is killed.
 */
#ifndef REDIRECT_H
#define REDIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct guardian; /* opaque */
struct redirect; /* opaque: one process */

#define REDIRECT_WORDS_MAX 12

struct redirect_word {
	uint64_t addr, original, alias;
};

/* The process is forked with the first redirect. NULL: out of memory. */
struct guardian *guardian__new(void);
void guardian__free(struct guardian *g);
/*
 * The words of all redirects at once, before each is undone: for one alone, all processes are looked at to find the target's children.
 * Until the next redirect none is held.
 */
void guardian__restore(struct guardian *g);

/*
 * Tells the guardian, then writes all words (aligned 8-byte stores). A word that holds the alias already is another
 * tracer's work and fine. -EBUSY: a word held something else; then nothing is left changed. START_TICKS tells this incarnation of PID.
 * RESUME: the process may be stopped for its last look; if the tracer is killed then, it must go on. CNT may be 0.
 */
int redirect__apply(struct guardian *g, pid_t pid, uint64_t start_ticks, const struct redirect_word *words, size_t cnt, bool resume,
		    struct redirect **out);
/* Another tracer of the same process may have put the words back when it ended: writes them again. */
void redirect__hold(const struct redirect *r);
/* Writes back what was there before, until redirect__hold(); children keep what they inherited until redirect__undo(). */
void redirect__release(const struct redirect *r);
/* Restores the target and those children of it that inherited the words. NULL is fine. */
void redirect__undo(struct redirect *r);

#endif
