/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A snapshot to print, with text as bad as wanted. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <math.h>
#include <string.h>

#include "intern.h"
#include "snapshot.h"
#include "stacks.h"

#define FIXTURE_ROWS 3

struct fixture {
	struct snapshot s;
	struct snapshot_process p[2];
	struct growth_row rows[FIXTURE_ROWS];
	struct intern *strings;
	struct stacks *stacks;
};

/* FILE, FUNCTION and TYPE are used in the first row. */
static inline void fixture__make(struct fixture *f, const char *file, const char *function, const char *type)
{
	struct frame frames[12];
	uint32_t stack = 0, type_id = 0;

	memset(f, 0, sizeof(*f));
	f->strings = intern__new();
	f->stacks = stacks__new(f->strings);
	memset(frames, 0, sizeof(frames));
	for (uint32_t i = 0; i < 12; i++) {
		frames[i].line = 100 + i;
		intern__string(f->strings, i ? "/srv/main.py" : "/usr/lib/python3.11/copy.py", &frames[i].file);
		intern__string(f->strings, i ? "run" : "deepcopy", &frames[i].function);
	}
	intern__string(f->strings, file, &frames[1].file);
	intern__string(f->strings, function, &frames[1].function);
	frames[1].line = 12;
	stacks__id(f->stacks, frames, 12, &stack);
	intern__string(f->strings, type, &type_id);
	f->rows[0] = (struct growth_row){
		.rank = 1, .proc = 7, .stack = stack, .type = type_id, .parts = 1, .bytes = 524288, .objects = 4096,
		.delta_bytes = 65536, .delta_objects = 512, .bytes_per_s = 13107.2, .oldest_s = 9.8, .survived_full_gcs = 2,
		.verdict = VERDICT_GROWING,
	};
	f->rows[1] = f->rows[0];
	f->rows[1].rank = 2;
	f->rows[1].verdict = VERDICT_STABLE;
	f->rows[1].bytes = INT64_MAX;
	f->rows[1].objects = INT64_MAX;
	f->rows[1].delta_bytes = INT64_MIN;
	f->rows[1].bytes_per_s = -1e300;
	f->rows[2] = (struct growth_row){.rank = 3, .proc = 99, .oldest_s = -1, .verdict = VERDICT_UNKNOWN};
	f->p[0] = (struct snapshot_process){
		.proc = 7, .pid = 4242, .comm = "python3", .cmdline = "python3 app.py", .python = "3.11.2",
		.exe = "/usr/bin/python3.11", .rss_bytes = 9000000, .rss_at_attach_bytes = 8000000, .peak_rss_bytes = 9500000,
		.gc_known = true, .gc_collections = {12, 1, 0},
		.limit_kind = "cgroup", .limit_bytes = 512 << 20, .limit_headroom_bytes = 100 << 20, .limit_shared_by = 1,
		.rss_slope = {TREND_GROWING, 20971.52, 13107.2, 31457.28}, .forecast = {5000, 3333.3, 8000, 2400},
	};
	f->p[1] = (struct snapshot_process){
		.proc = 8, .pid = 4243, .rss_bytes = SNAPSHOT_UNKNOWN_BYTES, .rss_at_attach_bytes = SNAPSHOT_UNKNOWN_BYTES,
		.peak_rss_bytes = SNAPSHOT_UNKNOWN_BYTES, .forecast = {INFINITY, INFINITY, INFINITY, 0}, .coverage_partial = true, .coverage_note = "inlined allocators",
		.container = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", .container_runtime = "docker",
		.pod_uid = "11111111-2222-3333-4444-555555555555",
	};
	f->s = (struct snapshot){
		.time_unix_ns = 1795197000123000000ULL, .elapsed_s = 10, .interval_s = 5, .mode = "exact", .processes = f->p,
		.processes_cnt = 1, .outstanding_bytes = 1048576, .outstanding_objects = 9000,
		.target_cpu_pct = {true, 0.8}, .rows = f->rows, .rows_cnt = 1, .strings = f->strings, .stacks = f->stacks,
	};
	f->s.totals.rows = 3;
	f->s.totals.verdicts[VERDICT_GROWING] = 1;
}

/* The same in budget mode; the last row is of what is in no sample. */
static inline void fixture__sample(struct fixture *f)
{
	f->s.mode = "budget";
	f->s.target_cpu_mean_pct = (struct maybe){true, 0.88};
	f->s.sampling = (struct snapshot_sampling){.known = true, .bursts = 32, .lookouts = 12, .samples = 318, .longest_pause_s = 0.0061, .fraction = 0.058, .reused = 0.03};
	f->rows[0].bytes_error = 180000;
	f->rows[2].bytes = f->rows[2].objects = 64;
	f->rows[2].bytes_error = 64;
	f->rows[2].type = f->rows[0].type;
}

static inline void fixture__free(struct fixture *f)
{
	stacks__free(f->stacks);
	intern__free(f->strings);
}

#endif
