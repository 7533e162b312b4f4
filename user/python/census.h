/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is in the heap of a running interpreter, by type: every live object, read from outside while the process runs on. The target pays nothing but
 * for the locks of its mappings, held while some pages are copied; unless a still picture is asked for (freeze.h). Or of one that is in a core file
 * (process.h): then -EIO is an error, too.
 *
 * Up to 512 bytes objects are in pymalloc's pools (heap.h). Larger ones, and all with PYTHONMALLOC=malloc, are in the C library's heap, which is walked
 * where it is glibc's (libc_heap.h). Where it is not, what the collector tracks is found through its lists: an object of a pool, whose link leads out
 * of all pools, leads to one that is in none. Objects in the interpreter's own file (None, small ints, static types) are not counted, nor are those
 * that are dead in a free list.
 */
#ifndef CENSUS_H
#define CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "freeze.h"

struct py_interp;
struct census; /* opaque; for one thread at a time */

#define CENSUS_BUFFER "(buffer)"

struct census_row {
	const char *type; /* as py_type__name(); NULL: unknown. Raw text of the target */
	bool is_buffer;   /* one row, CENSUS_BUFFER: blocks of pools that are no object, nor a buffer that an object owns */
	int64_t objects;
	int64_t tracked;  /* of these, by the collector: those that gc.get_objects() lists */
	int64_t bytes;    /* as the allocator gives them, with what lies in front of an object */
	int64_t owned_bytes; /* BYTES, and the buffers that these objects own: items, keys, values, tables */
	int64_t largest_bytes; /* of one object with what it owns */
	int64_t new_objects, new_bytes, new_owned_bytes; /* of these, those that are new as census_options say; of buffers it is not known */
	int64_t uncollectable; /* in gc.garbage; -1: unknown */
	/* Half-widths of 95 % intervals, of a sample; else 0. LARGEST_BYTES is that of what was read. */
	int64_t objects_error, bytes_error, owned_bytes_error;
};

/* Where the memory of the process is. All but the first add up to it. */
struct census_memory {
	bool known;
	uint64_t rss_bytes;
	uint64_t python_live_bytes, python_free_bytes; /* pymalloc: live blocks; what else of its pools is there */
	uint64_t libc_used_bytes, libc_free_bytes;     /* glibc: chunks in use; what else of its heap is there */
	uint64_t stacks_bytes, other_anon_bytes, file_bytes;
};

enum { CENSUS_KEEPERS = 3 };

/* pymalloc gives an arena back when none of its blocks is live. Sparse ones are less than a quarter full. */
struct census_arenas {
	uint64_t bytes_each;
	uint64_t cnt, sparse_cnt, sparse_live_bytes;
	struct {
		const char *type; /* as in census_row; CENSUS_BUFFER: no object */
		int64_t objects;
	} kept_by[CENSUS_KEEPERS]; /* most of what lives in the sparse ones; objects 0: no more */
};

struct census_stats {
	uint64_t cpu_ns;         /* what the reading cost us */
	uint64_t read_bytes;     /* how much heap was read: pools, and chunks of the C library */
	uint64_t clusters_read, clusters; /* of a sample: pools, or where there are none stretches of 16 KiB of the C library's heap */
	uint64_t torn, retried;  /* pools that never agreed with themselves; copies made again, of pools and chunks */
	bool ran, ran_known;     /* did the process run meanwhile? Else this is a still picture */
	struct freeze_result freeze; /* .by FREEZE_NONE: it was not frozen */
	int freeze_err;          /* why not, when it was to be: -errno of freezer__hold() */
	bool partial;
	char note[512];          /* what is not seen and why, when PARTIAL */
	bool has_pools;          /* uses pymalloc */
	bool has_libc;           /* its C library's heap is glibc's */
	struct census_memory memory;
	struct census_arenas arenas; /* bytes_each 0: not known, as of a sample. Text is good until the next reading */
};

struct census_options {
	struct freezer *freezer; /* borrowed: hold the process still while it is read; NULL: let it run */
	uint64_t max_pause_ns;   /* no longer than that */
	double sample;           /* read this fraction of the pools, estimate the rest; 0: read all */
	uint64_t seed;           /* of the sample */
	bool remember;           /* objects that are in no pool, from one reading to the next: 16 bytes for each; those in pools always are */
	/* Which are new: those first found in a reading from NEW_FROM to NEW_TO (census__reading()), and there in all since. To be set before the reading. */
	uint32_t new_from, new_to;
};

/* PY must outlive it. NULL: out of memory. */
struct census *census__new(const struct py_interp *py);
void census__free(struct census *c);
void census__set_options(struct census *c, const struct census_options *options);

/* One reading. 0, -ESRCH, -EPERM (the process ended, or is not ours to read), -EAGAIN (in the middle of exec), -ENOMEM or another errno of /proc. */
int census__read(struct census *c);

/* Number of the last reading, from 1 on; 0: there was none. */
uint32_t census__reading(const struct census *c);
/* Of the last reading, most owned bytes first. Good until the next one. */
size_t census__rows(const struct census *c, const struct census_row **out);
void census__stats(const struct census *c, struct census_stats *out);

#endif
