/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tracing one process: the only user file that knows the BPF skeleton is tracer.c. Phases:
 * open (configure and load) -> attach (probes, then tables, then count) -> consume / collect ... -> detach -> free.
 */
#ifndef TRACER_H
#define TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators.h"
#include "gc_probe.h"
#include "shared.h"

struct py_interp;
struct tracer; /* opaque */

enum tracer_probes {
	TRACER_FULL,
	TRACER_NOTHING,          /* benchmarks: programs that do nothing, at the same places */
	TRACER_NOTHING_AT_ENTRY, /* benchmarks: the same at the functions' first instructions, as tools do that do not look */
};

struct tracer_opts {
	enum tracer_probes probes;
	uint32_t depth;          /* 1..MAX_DEPTH */
	uint32_t max_blocks;     /* entries of the block map, a power of two */
	bool read_only;
	bool stop_at_finalize;
};

struct tracer_cost {
	double emulated_ns;     /* one probe on an instruction that the kernel emulates, with a program that does nothing */
	double returned_ns;     /* the same with a return probe */
	double single_step_ns;  /* one probe on an instruction that is single-stepped */
};

/* -errno, with one sentence in WHY. */
int tracer__open(const struct py_interp *py, const struct tracer_opts *opts, struct tracer **out, char *why, size_t why_size);
int tracer__attach(struct tracer *t, char *why, size_t why_size);
void tracer__detach(struct tracer *t);
void tracer__free(struct tracer *t);

/* After the runtime came up under `run`: what py_interp__open could not know before. */
void tracer__set_runtime(struct tracer *t, const struct py_interp *py);

int tracer__epoll_fd(const struct tracer *t);
struct tracer_events {
	void *ctx;
	void (*stack)(void *ctx, const struct stack_event *ev);
	void (*code)(void *ctx, const struct code_event *ev);
	void (*finalize)(void *ctx); /* the interpreter is being torn down: the books are closed */
	void (*exec)(void *ctx);     /* the process became another program: likewise */
};
/* Hands out what came; does not wait. Also sees to it that what was set up still is. */
int tracer__consume(struct tracer *t, const struct tracer_events *handlers);

/* Lives in memory shared with the programs: each field is read while it changes. */
const struct proc_state *tracer__state(const struct tracer *t);
/* Where the collector cannot be probed, its count of full collections is read now and then instead. */
void tracer__set_gc_epoch(struct tracer *t, uint32_t full_collections);
const struct allocators *tracer__allocators(const struct tracer *t);
const struct gc_probe *tracer__gc_probe(const struct tracer *t);
/* How many code objects were freed at this address; -ENOENT when it is not watched. */
int tracer__code_gen(const struct tracer *t, uint64_t code, uint32_t *gen);
const struct young *tracer__young(const struct tracer *t, size_t *cnt);
int tracer__old_fd(const struct tracer *t);
int tracer__groups_fd(const struct tracer *t);
/* Places where free lists are watched; 0: what they recycle keeps the line of its block's first use. */
uint32_t tracer__recycle_cnt(const struct tracer *t);
uint32_t tracer__probe_cnt(const struct tracer *t);
const struct tracer_cost *tracer__cost(const struct tracer *t);

/* Can the programs be loaded here at all? Each one that was is told with what the verifier had to do (0: kernel too old to say). */
struct tracer_check {
	bool multi;
	struct tracer_cost cost; /* 0: could not be measured */
	void *ctx;
	void (*program)(void *ctx, const char *name, uint32_t verified_insns, uint32_t jited_bytes);
};
int tracer__check(struct tracer_check *check);

#endif
