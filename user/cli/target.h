/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One traced process: interpreter, tracer and names together, and what a report says of it. */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect.h"
#include "procfs.h"
#include "python.h"
#include "tracer.h"

struct growth;
struct intern;
struct options;
struct resolver;
struct snapshot_process;
struct stacks;

enum target_state {
	TARGET_LIVE,
	TARGET_FINALIZED, /* its interpreter is gone, the process may still be there */
	TARGET_EXECED,
	TARGET_GONE,
};

struct target {
	uint32_t proc; /* number for the model */
	pid_t pid;
	int pidfd;     /* -1: kernel without pidfd_open */
	enum target_state state, state_handled;
	struct py_interp py;
	struct tracer *tracer;
	struct collector *collector;
	struct resolver *resolver;
	struct proc_status at_attach, last;
	struct py_gc_stats gc;
	bool gc_known;
	char comm[64], cmdline[4096], exe[4096], coverage_note[512];
	uint64_t attach_ns;
	/* overhead: counters at the last interval's end */
	uint64_t cost_events, cost_at_ns;
	double cpu_pct;
	bool cpu_pct_known;
};

/* Opens the interpreter and loads the programs. An enum exit_code; what is wrong was said. */
int target__open(struct target *t, pid_t pid, const struct options *o, bool early, struct intern *strings, struct stacks *stacks);
int target__attach(struct target *t);
void target__close(struct target *t);

/* New stacks; also tells when the interpreter ends or the process execs. */
void target__consume(struct target *t);
bool target__alive(const struct target *t);
/* One reading into the model. 0 or -errno. */
int target__sample(struct target *t, struct growth *g, bool interval_end, struct leak_rows *totals);
void target__describe(struct target *t, struct snapshot_process *out);

#endif
