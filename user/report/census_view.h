/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One reading of a heap, by type, as it is shown. Plain data, filled by the cli; all text is raw, the writers clean or escape it. */
#ifndef CENSUS_VIEW_H
#define CENSUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "verdict.h"

struct table_opts;
struct text;

struct census_type_row {
	const char *type; /* NULL: unknown */
	int64_t objects, tracked, bytes, owned_bytes, largest_bytes;
	bool new_known;
	int64_t new_objects, new_bytes, new_owned_bytes; /* of these */
	int64_t delta_new_objects; /* since the reading before, as DELTA_KNOWN says */
	int64_t uncollectable; /* -1: unknown */
	int64_t objects_error, bytes_error, owned_bytes_error; /* half-widths of 95 % intervals; 0: exact */
	bool delta_known;
	int64_t delta_objects, delta_bytes, delta_owned_bytes; /* since the reading before */
	int64_t gained_objects, gained_bytes;                  /* owned bytes, since the first */
	double bytes_per_s;
	enum verdict verdict;
};

enum census_grade {
	CENSUS_EXACT, /* the process did not run while it was read */
	CENSUS_NEAR,  /* it did; each part was read until it agreed with itself, but not all at the same moment */
	CENSUS_TORN,  /* parts never agreed with themselves */
};

/* By what it was held still; enum freeze_by. */
enum census_frozen {
	CENSUS_RAN_FREE,
	CENSUS_FROZEN_CGROUP,
	CENSUS_FROZEN_SIGNAL,
	CENSUS_FROZEN_BEFORE, /* was stopped already */
};

struct census_memory_view {
	bool known, python_known, libc_known;
	uint64_t rss_bytes, python_live_bytes, python_free_bytes, libc_used_bytes, libc_free_bytes, stacks_bytes, other_anon_bytes, file_bytes;
};

/* Of pymalloc, each given back when nothing lives in it any more. Sparse: less than a quarter full. */
struct census_arenas_view {
	bool known;
	uint64_t bytes_each, cnt, sparse_cnt, sparse_live_bytes;
	struct {
		const char *type; /* NULL: unknown */
		int64_t objects;  /* 0: there are no more */
	} kept_by[3];
};

/* What is new since a mark, and has survived. */
struct census_news_view {
	bool wanted;
	double mark_s;         /* since the mark */
	double survived_s;     /* what is told was there so long ago; 0: nobody asks */
	uint32_t survived_gcs; /* and has survived so many full collections; 0: nobody asks */
	uint64_t full_gcs;     /* since the mark */
	bool full_gcs_known;
};

struct census_view {
	uint64_t time_unix_ns;
	double elapsed_s, interval_s; /* since the first reading, the one before; interval 0: this is the first */
	pid_t pid; /* 0: unknown */
	const char *core; /* the file it was read from; NULL: the process lives */
	const char *comm, *python; /* NULL: unknown */
	enum census_grade grade;
	bool ran, ran_known;
	enum census_frozen frozen;
	double frozen_s;
	bool freeze_ended; /* when its time was over, before the reading was done */
	const char *freeze_error; /* why it could not be frozen, as was wanted; else NULL */
	double sample; /* the fraction that was wanted; 0: all was read */
	uint64_t clusters_read, clusters;
	uint64_t torn, retried;
	double reading_s;
	uint64_t read_bytes;
	const char *coverage_note; /* NULL: all is seen */
	const struct census_type_row *rows; /* those to be shown, in this order */
	size_t rows_cnt;
	uint64_t hidden_types, hidden_objects, hidden_bytes;
	uint64_t objects, bytes; /* of all types, owned bytes */
	struct census_news_view news;
	struct census_memory_view memory;
	struct census_arenas_view arenas;
};

const char *census_grade__name(enum census_grade grade); /* "exact": as in JSON */

/* One JSON object as INTERFACE.md has it and a newline, appended to OUT. */
void census_view__json(const struct census_view *v, struct text *out);
/* The JSON Schema (draft 2020-12) of that object and a newline. */
void census_view__json_schema(struct text *out);
/* For people. As table__print(). */
void census_view__table(const struct census_view *v, const struct table_opts *opts, struct text *out);

#endif
