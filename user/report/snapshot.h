/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything one report is made of. Plain data, filled by the cli; all text is raw, the writers clean or escape it. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	const char *container; /* NULL: none or unknown */
	int64_t rss_bytes, rss_at_attach_bytes, peak_rss_bytes; /* SNAPSHOT_UNKNOWN_BYTES */
	bool coverage_partial;
	const char *coverage_note; /* what is not seen and why; needed when partial */
	bool gc_known;
	uint64_t gc_collections[3];
	uint64_t gc_uncollectable;
	struct maybe gc_last_duration_s, gc_duration_s; /* of the last full collection; of all since the attach */
	bool gone;
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
