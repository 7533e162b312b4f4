/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One traced process: interpreter, tracer and names together, and what a report says of it. */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect.h"
#include "container.h"
#include "forecast.h"
#include "mem_limit.h"
#include "procfs.h"
#include "python.h"
#include "snapshot.h"
#include "survey.h"
#include "tracer.h"

struct collect;
struct growth;
struct intern;
struct options;
struct resolver;
struct sample;
struct stacks;

enum target_state {
	TARGET_LIVE,
	TARGET_FINALIZED, /* its interpreter is gone, the process may still be there */
	TARGET_EXECED,
	TARGET_GONE,
};

struct target {
	uint32_t proc; /* number for the model: one incarnation of a process */
	pid_t pid;
	int pidfd;     /* -1: kernel without pidfd_open */
	enum target_state state, state_handled;
	bool torn_down; /* its last look was taken: what would be read from now on is what the interpreter leaves */
	bool reported_gone;
	struct py_interp py;
	struct tracer *tracer; /* NULL: retired, what follows is as it was at the end */
	struct survey *survey; /* budget mode */
	struct collector *collector;
	struct resolver *resolver;
	struct proc_status at_attach, last;
	struct history rss; /* of its RSS */
	struct mem_limit limit;
	uint64_t start_headroom_bytes; /* when this limit was first seen */
	struct py_gc_stats gc;
	bool gc_known;
	struct container container;
	uint32_t container_name, binary_name; /* interned, 0: none */
	char comm[64], *cmdline, *exe, coverage_note[512];
	char names_note[512]; /* of names that cannot be told */
	uint64_t names_asked_ns;
	uint64_t attach_ns;
	/* what was found at the last reading */
	struct sample *samples;
	size_t samples_cnt, samples_capacity;
	struct leak_rows totals; /* rows unused */
	uint64_t events, loss[LOSS_CNT];
	struct maybe gc_last_s, gc_all_s;
	/* overhead: counters at the last interval's end */
	uint64_t cost_events, cost_at_ns;
	double cpu_pct;
	bool cpu_pct_known;
	struct gate_stats gate; /* budget mode */
	struct survey_stats surveyed;
};

/* What all targets share. */
struct target_env {
	const struct options *o;
	struct tracers *tracers;
	struct collect *collect;
	struct mem_limits *limits;
	struct intern *strings;
	struct stacks *stacks;
};

/* Opens the interpreter and loads the programs. An enum exit_code with a sentence in WHY. */
int target__open(struct target *t, pid_t pid, const struct target_env *env, bool early, char *why, size_t why_size);
/* The child of PARENT that EV tells of; -ESRCH etc.: it is gone already or cannot be followed. */
int target__open_child(struct target *t, const struct target *parent, const struct fork_event *ev, const struct target_env *env);
int target__attach(struct target *t, char *why, size_t why_size);
/* Gives back all that the target holds of kernel and memory but what it was found to have. */
void target__retire(struct target *t);
void target__close(struct target *t);

bool target__alive(const struct target *t);
/* Are names right? Asked again while the interpreter starts; cheap once that is known. LAST: it tears down after this. */
void target__check_names(struct target *t, bool last);
/* How the process is now. */
void target__refresh(struct target *t, const struct target_env *env, bool interval_end);
/* What collect__read() has found, into the model. COST: an interval ends, its cost is to be measured; else NULL. 0 or -errno. */
int target__sample(struct target *t, struct growth *g, const struct tracer_cost *cost);
/* All but the forecast, see forecasts.h. */
void target__describe(struct target *t, struct snapshot_process *out);

#endif
