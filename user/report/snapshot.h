/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything one report is made of. Plain data, filled by the cli; all text is raw, the writers clean or escape it. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "forecast.h"
#include "growth.h"

struct text;

#define SNAPSHOT_UNKNOWN_BYTES (-1)

/* A number that may be unknown: null in JSON, "?" for people. */
struct maybe {
	bool known;
	double value;
};

struct snapshot_process {
	uint32_t proc; /* growth_row.proc of its rows */
	pid_t pid;
	const char *comm;
	const char *cmdline;   /* NULL: unknown, as for all text here */
	const char *python;    /* "3.11.2" */
	const char *exe;
	const char *module; /* the file that the interpreter is in: exe, or a libpython */
	const char *container; /* NULL: none or unknown */
	const char *container_runtime, *pod_uid;
	int64_t rss_bytes, rss_at_attach_bytes, peak_rss_bytes; /* SNAPSHOT_UNKNOWN_BYTES */
	bool coverage_partial;
	const char *coverage_note; /* what is not seen and why; needed when partial */
	bool gc_known;
	uint64_t gc_collections[3];
	uint64_t gc_uncollectable;
	struct maybe gc_last_duration_s, gc_duration_s; /* of the last full collection; of all since the attach */
	const char *limit_kind; /* "cgroup", "cgroup-high", "address-space", "data", "host"; trusted; NULL: unknown */
	uint64_t limit_bytes, limit_headroom_bytes;
	bool limit_partial;       /* there may be a lower one that cannot be seen from here */
	uint32_t limit_shared_by; /* processes of this snapshot that use it up, this one included */
	struct slope rss_slope;
	struct forecast forecast;
	bool gone;
};

/* Budget mode: what was done, and what it cost. Sums over all processes, the longest pause of any. */
struct snapshot_sampling {
	bool known;
	uint64_t bursts, lookouts, samples; /* blocks in the sample now */
	double longest_pause_s;
	double fraction;          /* of the run time of that process of which the least was seen; 1: everything was recorded */
	double reused;            /* see struct survey_stats; the largest */
};

struct snapshot_counter {
	const char *name; /* JSON key, e.g. "samples"; trusted */
	const char *sentence; /* for people: what it means; NULL: the name */
	uint64_t value;
};

struct snapshot {
	uint64_t time_unix_ns;
	double elapsed_s, interval_s;
	bool final;
	const char *mode;  /* "exact", "budget" */
	enum growth_group group;
	const struct snapshot_process *processes;
	size_t processes_cnt;
	int64_t outstanding_bytes, outstanding_objects;
	int64_t pymalloc_bytes, pymalloc_objects; /* of these, in the mem and object domains */
	uint64_t events; /* allocator calls seen */
	uint64_t lost_events, lost_stacks;
	const struct snapshot_counter *lost_more; /* other losses by name */
	size_t lost_more_cnt;
	struct maybe target_cpu_pct; /* what tracing costs the target */
	struct maybe target_cpu_mean_pct; /* the same since the attach */
	struct snapshot_sampling sampling;
	struct growth_totals totals;
	const struct growth_row *rows;
	size_t rows_cnt;
	const struct intern *strings;
	const struct stacks *stacks;
};

/* NULL when no process has this number. */
const struct snapshot_process *snapshot__process(const struct snapshot *s, uint32_t proc);

/* One JSON object as INTERFACE.md has it and a newline, appended to OUT. */
void snapshot__json(const struct snapshot *s, struct text *out);
/* The JSON Schema (draft 2020-12) of that object and a newline. */
void snapshot__json_schema(struct text *out);

#endif
