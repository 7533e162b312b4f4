/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Budget mode: which of the blocks that were recorded in bursts are still there, and for how many each stands. Frees are seen only while the
 * gate is open, so each block is looked at from outside: is the pymalloc block live, with an object of the same type, in every reading of the
 * heap (heap.h) since, and is its content what it was? What lies at an address that is used again and again does not pass that for long.
 *
 * How many blocks of a type (or, of memory that is no object, of a size) have come since the attach and stayed, the heap itself tells, exactly. The
 * sample says only how these divide among the lines: a block stands for its share of them. What is not in the heap (larger than 512 bytes)
 * stands for as many as the gate says, and its end is judged by libc's own words before and behind it.
 *
 * Now and then it is asked of some of what each kind has gained who holds it (held.h): what only holds each other is garbage, which grows until the
 * collector's next full run, and no leak, unless the program has switched the collector off or freezes what there is. And whether it is replaced by
 * others all the time (replaced.h).
 *
 * As long as the gate was never shut all this is idle: everything was recorded, each block stands for itself.
 */
#ifndef SURVEY_H
#define SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"

struct py_interp;
struct tracer;
struct survey; /* opaque: of one process */

/* Before the tracer is attached: reads the heap once, what is there then is no one's growth. All borrowed. NULL: out of memory. */
struct survey *survey__new(const struct py_interp *py, const struct tracer *tracer);
void survey__free(struct survey *s); /* NULL is fine */

/* Before each reading of the books: looks at the heap again when it is time. 0 or -errno. */
int survey__begin(struct survey *s);
/* Is the sampling on? Else nothing below is needed. */
bool survey__is_active(const struct survey *s);

enum survey_fate {
	SURVEY_DEAD,    /* not there any more: forget it */
	SURVEY_WAITING, /* too young to know */
	SURVEY_COUNTS,
};
/* What is told of a block that counts. */
struct survey_answer {
	double weight;         /* how many it stands for */
	uint64_t bytes_each;   /* 0: as recorded. Of an instance that a lookout met, its class does not tell all (3.13: inline values) */
	uint32_t kind_samples; /* how many of its kind are in the sample; SURVEY_ALL: nothing is missing, SURVEY_UNKNOWN: not known of how many */
	double doubt;          /* its weight may be wrong by this share, as those of all like it */
	bool passing;          /* most of what its kind has gained is garbage that the collector has not come to, or is replaced all the time */
};
/* TYPE: of the object in it, 0: none. */
#define SURVEY_ALL UINT32_MAX
#define SURVEY_UNKNOWN (UINT32_MAX - 1)
enum survey_fate survey__look(struct survey *s, block_key key, const struct block *b, uint64_t type, struct survey_answer *out);

/* What the heap has gained without any block of that kind in the sample: its line is not known. false: no more of them. */
struct survey_gap {
	uint64_t type;      /* 0: no object */
	int64_t objects, bytes;
	bool passing;       /* as above */
};
bool survey__next_gap(const struct survey *s, size_t *i, struct survey_gap *out);

struct survey_stats {
	uint64_t samples;   /* blocks in the sample now */
	uint64_t readings;  /* of the heap */
	double reused;      /* of the looks at a block that seemed to stay: the share that found other contents in its place */
};
void survey__stats(const struct survey *s, struct survey_stats *out);

/* Half-width of the 95 % interval of AMOUNT, which is what SAMPLES of the ALL of its kind stand for. */
double survey__error(double amount, uint32_t samples, uint32_t all);

#endif
