/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Budget mode: the probes of a process are in place at times only, so that what they cost it stays within a share of one CPU's time. One
 * opening:
 *
 *	burst  what is allocated is recorded, until the burst's part of the money is spent
 *	tail   nothing new is recorded, but what was is still seen to end; several times as long, and without the probes on malloc
 *	shut   no probe is in place, until the time that has passed pays for another opening
 *
 * A process that allocates little never spends what it earns: its burst does not end, and all is recorded. Placing and removing probes takes
 * the kernel tens of milliseconds but not the process: it goes on, and meets the breakpoints only from the end of the one call to the
 * begin of the other (measured; multi-uprobe links).
 *
 * One thread a process, at real-time priority where that is allowed: an end that comes late is slowed time of the process. One thread an
 * engine hands on what the programs tell.
 */
#ifndef GATE_H
#define GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "calibrate.h"

struct allocators;
struct engine;
struct py_interp;
struct gate;  /* opaque: of one process */
struct gates; /* opaque: of all */
struct redirect;
struct sought;

struct gates *gates__new(void); /* NULL: out of memory */
/* After all of its gates are freed, before their engines. */
void gates__free(struct gates *all);

enum lookout { LOOKOUT_CLASSES, LOOKOUT_LARGE, LOOKOUT_KINDS };

struct gate_opts {
	double budget;         /* share of one CPU's time, 0.01 for one percent */
	uint64_t max_pause_ns; /* the longest stretch in which the process may be slowed to less than half of its speed */
};

struct gate_process {
	struct engine *engine;
	uint32_t slot;
	pid_t pid;             /* as we see it */
	const struct py_interp *py; /* borrowed */
	const char *path;      /* of the interpreter, as it can be opened from here; borrowed */
	const struct allocators *allocators; /* what stands in its tables; borrowed */
	const struct redirect *redirect;     /* of its tables, held only while the gate is open: each call takes a little longer; NULL, borrowed */
};

/* Opens for the first time before it returns. 0 or -errno. */
int gate__new(struct gates *all, const struct gate_process *proc, const struct gate_opts *opts, const struct tracer_cost *cost,
	      struct gate **out);
/* Begins what gate__stop() completes, for many at once. NULL is fine. */
void gate__ask_to_stop(struct gate *g);
/* Shuts: no probe is in place when it returns. What it has recorded stays known to the callers of what is below. NULL is fine. */
void gate__stop(struct gate *g);
void gate__free(struct gate *g); /* NULL is fine */

struct gate_stats {
	uint64_t openings, lookouts;
	uint64_t cost_ns;          /* of tracing, as charged */
	uint64_t cpu_ns;           /* CPU time of the process since the start, that cost included */
	uint64_t longest_pause_ns; /* in which it was slowed to less than half of its speed */
	double fraction;           /* of the process's own run time, in bursts */
	bool ever_shut;            /* else everything since the start was recorded: numbers are exact */
};
void gate__stats(struct gate *g, struct gate_stats *out);

/*
 * What recorded blocks held while their end would still have been seen. An address that is free later and then another object's is told by that:
 * by the next look from outside it may hold one that stays.
 */
#define GATE_WITNESS_BYTES 64
struct gate_witness {
	uint64_t addr;
	uint32_t birth, size;
	bool late; /* the gate was shut meanwhile: what it held is not told */
	unsigned char bytes[GATE_WITNESS_BYTES];
};
/* Those since the last call; *OUT is the caller's to free. */
size_t gate__take_witnesses(struct gate *g, struct gate_witness **out);

/* How many blocks one that was recorded at this time (CLOCK_MONOTONIC, in steps of BIRTH_SHIFT) stands for; at least 1. */
double gate__weight(struct gate *g, uint64_t birth_ns);
/* Of one that was recorded in a lookout. */
double gate__sought_weight(struct gate *g, uint64_t birth_ns, enum lookout what);
/* By what share the weights of large ones may be wrong, all in the same direction. */
double gate__large_doubt(struct gate *g);
/*
 * Of a large one that was recorded in a burst; 0: what lookouts have recorded, or the next one will, stands for all that were made at this time. Bursts
 * that record a tenth of the time, of a process that does little, do so for the time since the recording before, as a lookout does.
 */
double gate__large_weight(struct gate *g, uint64_t birth_ns);

/*
 * From now on there are lookouts for these, at most SOUGHT_MAX, between openings, and by turns for blocks of the raw domain with at least LARGE_MIN bytes; 0:
 * none. LARGE_KNOWN: bursts know of a part of those that came until now, which goes on counting; else the first lookout stands for all since the first
 * burst. Any thread may call it.
 */
void gate__seek(struct gate *g, const struct sought *list, size_t cnt, uint64_t large_min, bool large_known);
/* When the last one ended (CLOCK_MONOTONIC): there are witnesses of what was recorded in it. 0: there was none. */
uint64_t gate__lookout_end(struct gate *g);

#endif
