/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Readings of the books: what is outstanding by stack and type. Groups come from the BPF maps as they
 * are; blocks are looked at one by one only for what a sum cannot tell (age, and the use of memory that is no object).
 */
#ifndef COLLECT_H
#define COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "object.h"

struct py_interp;
struct tracer;
struct survey;
struct tracers;
struct collect;   /* opaque: readings of all processes together */
struct collector; /* opaque: what is remembered of one process from one reading to the next */

/* The target was gone before it could be looked at. */
#define TYPE_UNREADABLE USE_CNT

struct leak_row {
	uint64_t type;        /* address of the type object, an enum block_use below USE_CNT, or TYPE_UNREADABLE */
	uint32_t stack;       /* id from a stack event; 0: unknown */
	int64_t bytes, objects;
	uint64_t oldest_ns;   /* CLOCK_MONOTONIC birth of the oldest block, 16.8 ms steps; 0: not known */
	uint32_t survived_full_gcs; /* of the oldest block */
	int64_t survivors;    /* blocks that survived at least one full collection */
	/* budget mode */
	double est_bytes, est_objects;
	double est_certain, est_doubt; /* bytes of those that stand for themselves; bytes by which all may be wrong in the same direction */
	double est_garbage;   /* objects that nothing holds any more; the collector has not come to them (held.h) */
	double bytes_error;   /* half-width of the 95 % interval */
	uint32_t samples, kind_samples; /* see survey.h; without those that are certain */
};

struct leak_rows {
	struct leak_row *rows; /* owned by the collector, good until the next reading */
	size_t cnt;
	int64_t bytes, objects;          /* totals of the programs' own counters, all domains */
	int64_t obj_objects, obj_bytes;  /* of the object domains: what sys.getallocatedblocks() counts */
	bool exact_ages;                 /* false: too many blocks this time, ages are of the last full look */
};

struct collect_opts {
	uint64_t min_age_ns; /* leave out younger blocks; 0: all */
	uint32_t survived_gcs; /* leave out blocks that have survived fewer full collections */
	uint64_t tick_scan;  /* look at each block only while there are at most this many ... */
	uint64_t full_scan;  /* ... and for a FULL reading */
};

struct collect *collect__new(const struct tracers *tracers, const struct collect_opts *opts); /* NULL: out of memory */
/* After all of its collectors are freed. */
void collect__free(struct collect *x);

/* SURVEY: budget mode, else NULL; borrowed, as the others. */
struct collector *collector__new(struct collect *x, const struct tracer *t, const struct py_interp *py, struct survey *survey);
void collector__free(struct collector *c);

/* FULL: a reading for a report. 0 or -errno. Targets may be gone: then types not known yet stay unknown. */
int collect__read(struct collect *x, bool full);
/* Of the last reading; where nothing has happened since the one before, as they were then. */
const struct leak_rows *collector__rows(const struct collector *c);

#endif
