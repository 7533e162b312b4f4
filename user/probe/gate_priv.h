/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What gate.c, openings, and gate_lookout.c have in common. All but what is said to be under the lock is the gate's thread's. */
#ifndef GATE_PRIV_H
#define GATE_PRIV_H

#include <pthread.h>
#include <time.h>

#include "engine.h"
#include "gate.h"
#include "gate_cycles.h"
#include "shared.h"
#include "spending.h"
#include "uprobe.h"
#include "work.h"

struct run_timer;

#define TICK_MS 100
#define TAIL_MIN_NS 20000000ULL
#define HURRY_MS 12 /* most openings of a process at work are over by then */
#define CLOSINGS 3

/* Of the process, all threads: time, CPU time, and how often it has waited. */
struct load {
	uint64_t ns, cpu_ns, waits;
};

struct closing {
	pthread_t thread;
	bool running;
	struct uprobe_links links;
};

struct gate {
	struct gates *all;
	struct gate_process proc;
	struct gate_state *state; /* shared with the programs */
	clockid_t cpu_clock;
	pthread_t thread;
	bool running, stop;
	int wake_fd;
	struct gate_links links;
	struct closing closing[CLOSINGS];
	struct spending money;
	uint64_t earned_ns;       /* until when time has been turned into money */
	/* of the opening that is going on */
	struct load opened;
	uint64_t open_cost_ns;
	struct load burst_end;     /* of the one before, while it is shut */
	uint64_t burst_end_cost_ns;
	enum lookout lookout;      /* this one, or the last one */
	bool lookouts_slow[LOOKOUT_KINDS]; /* single requests, as openings do: the last one did */
	struct gate_state before;  /* counters when it began */
	uint64_t slowed_ns;        /* how long it lasted, if most of that was tracing */
	struct load aimed;         /* when a moment was chosen last */
	struct run_timer *timer;   /* while a moment is waited for */
	double aim_most_ns;        /* for how long it is waited for */
	double aim_price;          /* of waiting for it: cost by run time, as some probes are met already */
	double hot_took_ns;        /* placing what is met all the time, lately */
	double burst_allocs;       /* in the last one */
	struct work work;
	bool waits_dear;           /* how often it has waited is not asked while probes are in place */
	bool idle;
	pthread_mutex_t lock;      /* of what follows */
	struct gate_cycles bursts, lookouts[LOOKOUT_KINDS];
	uint64_t recorded_ns[LOOKOUT_KINDS]; /* until when the one before this one recorded; at first since when they stand for anything */
	struct sought sought[SOUGHT_MAX];
	size_t sought_cnt;
	uint64_t large_min;
	uint64_t burst_from_ns, burst_to_ns; /* of the one that is not in the weights yet; 0: there is none, it goes on */
	double large_own_ns, large_doubt_ns; /* the process's own time in lookouts for large blocks, and by how much that may be wrong */
	uint64_t lookout_cnt, lookout_end_ns;
	struct gate_witness *witnesses;
	size_t witnesses_cnt;
	uint64_t start_cpu_ns, last_cpu_ns, longest_pause_ns, openings;
	double own_ns, sampled_ns; /* run time of the process without tracing: all, and in bursts */
	uint64_t shut_ns; /* the first time: until then all was recorded; 0: it still is */
	int err;
};

static inline uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

uint32_t gate__phase(const struct gate *g);
bool gate__stopping(const struct gate *g);
/* Or until something is to be done. */
void gate__wait_ms(struct gate *g, double ms);
uint64_t gate__cpu_ns(struct gate *g);
void gate__charge_places(struct gate *g, size_t cnt, double running);
void gate__begin_stretch(struct gate *g, bool waits);
/* COST: gate_state.cost_ns now. */
uint64_t gate__left_for_burst(struct gate *g, uint64_t cost);
void gate__read_witnesses(struct gate *g, enum gate_phase phase);
void gate__close_soon(struct closing *c, struct uprobe_links *links);
void gate__await_closed(struct gate *g);
double gate__dearest_piece_ns(const struct gate *g);
/* WHAT: for the log. */
void gate__note_pause(struct gate *g, const char *what, double late_ns);

/* Under the lock: a burst is over and accounted for. */
void gate__add_burst(struct gate *g);
/* By turns where both are sought. LOOKOUT_KINDS: nothing is. */
enum lookout gate__next_lookout(struct gate *g);
void gate__look_out(struct gate *g, enum lookout what);

#endif
