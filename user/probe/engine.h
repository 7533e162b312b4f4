/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The loaded programs for one interpreter binary and all traced processes that run it. The only user file that knows the BPF
 * skeleton is engine.c. Places are found once, in the first process; the others have them at another load address.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alloc_probes.h"
#include "allocators.h"
#include "books.h"
#include "gc_probe.h"
#include "shared.h"
#include "uprobe.h"

struct engine; /* opaque */
struct py_interp;

enum tracer_probes {
	TRACER_FULL,
	TRACER_NOTHING,          /* benchmarks: programs that do nothing, at the same places */
	TRACER_NOTHING_AT_ENTRY, /* benchmarks: the same at the functions' first instructions, as tools do that do not look */
};

struct tracer_opts {
	enum tracer_probes probes;
	uint32_t depth;      /* 1..MAX_DEPTH */
	uint32_t max_blocks; /* entries of the block map, a power of two */
	uint32_t procs_max;  /* 1..MAX_PROCS */
	bool follow;         /* forks are traced too: the probes are active in every process of the binary */
	bool read_only;
	bool stop_at_finalize;
	double budget;       /* > 0: probes are in place at times only; struct gate_opts */
	uint64_t max_pause_ns;
};

/* GLOBAL_PID: as the programs see it, see global_pid.h; so for all pids below. Finds the places and loads. -errno, with one sentence in WHY. */
int engine__open(const struct py_interp *py, pid_t global_pid, const struct tracer_opts *opts, bool multi, struct engine **out, char *why, size_t why_size);
void engine__free(struct engine *e);
/* Same file, and the same functions in its allocator tables? */
bool engine__fits(const struct engine *e, const struct py_interp *py);

struct engine_probes {
	struct alloc_probes alloc;
	struct uprobe_links links; /* the others */
};

/* For one process (PID) or all (0). PATH: the binary, as it can be opened from here now. */
int engine__attach(struct engine *e, const char *path, pid_t pid, struct engine_probes *probes, char *why, size_t why_size);
void engine_probes__close(struct engine_probes *probes);

/*
 * Budget mode: what is in place at times only. UNMET is placed first and removed last, by itself: at each probe that the process meets while others are
 * placed or removed it waits for its memory map (measured on 6.18: some 100 us for each of those).
 */
struct gate_links {
	struct uprobe_links makes; /* what makes blocks */
	struct uprobe_links ends;  /* what ends or changes blocks */
	struct uprobe_links unmet; /* free lists' places that no process has met lately, UNMET_LINK of them each */
	uint16_t order[RECYCLE_MAX]; /* all places, numbers: those that nothing has met lately, then the others, the last is met most */
	size_t unmet_cnt;
};

/* Each link costs its making, and its places go one after the other: what is met there meanwhile costs, too. */
#define UNMET_LINK 8
#define TRIED_AT_ONCE (2 * UNMET_LINK)

/*
 * For one process; engine__attach() leaves these out. May be called by any thread. First what it seldom meets, with the UNMET or without: each place costs
 * it something, met or not; then what it meets all the time. HALT: it is to get no further than it is now: what it meets most comes first, and it waits there
 * while the others are placed. A: what stands in its tables. -errno: none are in place.
 */
int engine__prepare_gate(struct engine *e, const struct allocators *a, const char *path, pid_t pid, bool unmet, struct gate_links *links);
/*
 * Before the first opening of the engine's first process: free lists' places from FIRST on, for a moment, so that those met all the time are known and are
 * not placed before the others. How many are in place now; 0: there are no more, or it was done, as of hundreds of processes it would take long.
 */
int engine__try_places(struct engine *e, const char *path, pid_t pid, size_t first, struct uprobe_links *links);
int engine__open_gate(const struct engine *e, const struct allocators *a, const char *path, pid_t pid, bool halt, struct gate_links *links);
size_t gate_links__places(const struct gate_links *links);
/* What was met in this opening goes from UNMET to ENDS: to be removed before the rest. */
void gate_links__sort(const struct engine *e, struct gate_links *links);
void gate_links__close(struct gate_links *links);

/*
 * A lookout: a probe on PyType_GenericAlloc(), which makes the instances of all classes of Python (Objects/typeobject.c). engine__maker() is where it is in the
 * process in which the places were found; 0: not known, and there is nothing to attach (-ENOENT).
 */
uint64_t engine__maker(const struct engine *e);
int engine__attach_maker(const struct engine *e, const char *path, pid_t pid, struct uprobe_links *links);

/* A lookout for what is too large for pymalloc: see alloc_probes.h. -ENOENT: this cannot be had. */
int engine__attach_large(const struct engine *e, const struct allocators *a, const char *path, pid_t pid, struct uprobe_links *links);

/* 2.7: what the interpreter takes from libc without a table between. Never for all processes: libc is everyone's. As above. */
int engine__attach_libc(const struct engine *e, pid_t pid, struct uprobe_links *makes, struct uprobe_links *ends);

/* A clean slot for the process, counting nothing yet. -ENOSPC. */
int engine__add(struct engine *e, pid_t pid, uint32_t *slot);
/* A forked child has CHILD_SLOT already; from now on it is ours to remove. */
int engine__adopt(struct engine *e, uint32_t child_slot);
/* Counts no more, forgets the process's books; the slot will be used again. */
void engine__remove(struct engine *e, uint32_t slot);
/* A forked child that is not to be traced: its slot will be used again, its parent keeps nothing for it. */
void engine__give_up(struct engine *e, const struct fork_event *ev);
/*
 * Copies the books of a parent for its forked child, as they were at that fork; both may be running. 0 or -errno: some are missing, and
 * counted as lost.
 */
int engine__inherit(struct engine *e, uint32_t parent_slot, uint32_t child_slot);

/* Mapped: read while it changes. */
struct proc_state *engine__state(const struct engine *e, uint32_t slot);
const struct young *engine__young(const struct engine *e, uint32_t slot, size_t *cnt);

/* OWNER: any pointer that the caller wants to have back with an event; NULL: none. */
void engine__set_owner(struct engine *e, uint32_t slot, void *owner);
struct tracer_events {
	void *ctx;
	void (*stack)(void *ctx, void *owner, const struct stack_event *ev);
	void (*code)(void *ctx, void *owner, const struct code_event *ev);
	void (*fork)(void *ctx, void *owner, const struct fork_event *ev);
	void (*tables)(void *ctx, void *owner);   /* other functions stand in the allocator tables, see tracer__follow_tables() */
	void (*finalize)(void *ctx, void *owner); /* the interpreter is being torn down: the books are closed */
	void (*exec)(void *ctx, void *owner);     /* the process became another program: likewise */
};
int engine__epoll_fd(const struct engine *e);
/* Ring buffer of struct plain_event: a slot's gate_state.phase has changed. */
int engine__gate_fd(const struct engine *e);
/* Hands out what came; does not wait. */
int engine__consume(struct engine *e, const struct tracer_events *handlers);

const struct books *engine__books(const struct engine *e);
uint64_t engine__bias(const struct engine *e);
const struct allocators *engine__allocators(const struct engine *e); /* at engine__bias() */
const struct gc_probe *engine__gc_probe(const struct engine *e);
/* Places where free lists are watched; 0: what they recycle keeps the line of its block's first use. */
uint32_t engine__recycle_cnt(const struct engine *e);
uint32_t engine__probe_cnt(const struct engine *e);

/* Can the programs be loaded here at all? Each one that was is told with what the verifier had to do (0: kernel too old to say). */
struct engine_check {
	void *ctx;
	void (*program)(void *ctx, const char *name, uint32_t verified_insns, uint32_t jited_bytes);
};
int engine__check(bool multi, const struct engine_check *check);

#endif
