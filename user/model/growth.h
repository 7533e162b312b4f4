/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The history of everything that is outstanding, and who grows. Time goes in ticks, several to a report interval:
 *
 *	growth__begin(g, now);
 *	growth__process(g, ...);       once per process
 *	growth__add(g, &sample);       for everything outstanding; what is not added counts as zero
 *	growth__end(g, is_interval_end);
 *	growth__top(g, 10, rows);      at any time between end and begin
 */
#ifndef GROWTH_H
#define GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verdict.h"

struct intern;
struct stacks;
struct growth;

enum growth_group {
	GROUP_STACK,     /* process, stack, type */
	GROUP_LINE,      /* process and the line of the innermost frame */
	GROUP_FUNCTION,  /* process and the function of the innermost frame */
	GROUP_TYPE,      /* process and type */
	GROUP_APP,       /* process and the line of the innermost frame of the user's own code */
	GROUP_PROCESS,
	GROUP_CONTAINER, /* container, see sample.container */
	GROUP_BINARY,    /* sample.binary */
	GROUP_CNT
};
const char *growth_group__name(enum growth_group group); /* "stack": as on the command line */
int growth_group__parse(const char *name, enum growth_group *group); /* 0 or -EINVAL */

struct growth_opts {
	enum growth_group group;
	const struct intern *strings; /* type names; borrowed */
	const struct stacks *stacks;  /* borrowed */
};

struct sample {
	uint32_t proc;      /* any number that names one incarnation of a process */
	uint32_t container; /* any number; 0: none */
	uint32_t binary;    /* any number for what it runs */
	uint32_t stack;     /* stacks__id() */
	uint32_t type;      /* intern__id() of the type's name */
	int64_t bytes, objects;
	double bytes_error;  /* half-width of the 95 % interval; 0: exact */
	/* The number itself is one, not only how much of a known one this is: it rises by steps, when something was looked for, and by chance. */
	bool estimated;
	uint64_t oldest_ns;  /* birth of the oldest block, on the clock of growth__begin(); 0: unknown */
	uint32_t survived_full_gcs; /* the most that any of the blocks has survived */
	int64_t survivors;          /* objects that survived a full collection or long enough to count, the caller decides */
	int64_t garbage;            /* of the objects: nothing holds them any more, and the collector will find them; 0: not known */
	int64_t recycled_max;       /* as many of the objects may be dead, and in a free list of the interpreter's */
	bool type_is_buffer;        /* "dict keys", "list items": memory that is no object */
};

struct growth_row {
	uint32_t rank; /* from 1 */
	uint32_t proc, container; /* the first seen when the group spans several */
	/* Of the biggest part of the row when the group spans several. An object's type before a buffer's. */
	uint32_t stack, type;
	uint32_t parts; /* how many samples were merged into the row at the last tick */
	int64_t bytes, objects;
	int64_t delta_bytes, delta_objects; /* since the interval before */
	double bytes_per_s;
	double bytes_error;
	double gain_bytes; /* gained and not given back: what the rank is made of */
	double oldest_s;   /* age; -1: unknown */
	uint32_t survived_full_gcs;
	int64_t survivors;
	bool type_is_buffer;
	enum verdict verdict;
};

struct growth_totals {
	uint32_t rows;    /* with something outstanding */
	uint32_t verdicts[VERDICT_GROWING + 1]; /* rows by verdict */
	uint32_t intervals_seen;
	/* Full intervals until a row that was there from the beginning can be called growing; 0: now. */
	uint32_t intervals_missing;
};

struct growth *growth__new(const struct growth_opts *opts); /* NULL: out of memory */
void growth__free(struct growth *g);

void growth__begin(struct growth *g, uint64_t now_ns);
/* PEAK_RSS_AT_ATTACH_BYTES: VmHWM when the tracer came; 0: unknown. 0 or -ENOMEM. */
int growth__process(struct growth *g, uint32_t proc, uint64_t rss_bytes, uint64_t peak_rss_at_attach_bytes);
int growth__add(struct growth *g, const struct sample *s); /* 0 or -ENOMEM: the sample is missing from this tick */
/* 0 or -ENOMEM: some history is missing. */
int growth__end(struct growth *g, bool is_interval_end);

/*
 * The first N rows by rank into ROWS; returns how many. Growing first, then warming and unknown, then stable; within
 * these by what was gained and not given back. A buffer's gain counts for the rank of its owner on the same stack.
 */
size_t growth__top(struct growth *g, size_t n, struct growth_row *rows);
/*
 * What was there at the last tick is what stays. Where there was too little time for verdicts, rows rank by that: a
 * trend over some ticks would leave out what came in the last of them.
 */
void growth__finish(struct growth *g);
void growth__totals(struct growth *g, struct growth_totals *out);

#endif
