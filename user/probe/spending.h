/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a gate may spend of its process's time, and on what: pure. What time earns is saved, and an opening costs placing its probes and a stretch of hits.
 * All in nanoseconds of the process's CPU time.
 */
#ifndef SPENDING_H
#define SPENDING_H

#include <stdbool.h>
#include <stddef.h>

/* Parts of the stretch; a tenth is for what comes unexpected. */
struct spending_shares {
	double skip, burst, tail;
};

struct spending {
	/* in, fixed */
	double budget;        /* share of one CPU's time */
	double max_pause_ns;
	double place_ns;      /* to place and remove one probe of a process that runs all the time: calibrate.h */
	double hit_ns;        /* one hit of a program that does nothing */
	/* in, as measured lately */
	double busy;          /* for how much of the time the process ran, at most 1; at first 1 */
	double pieces_per_ns; /* of work, from one wait to the next, of a process that mostly waits; 0: it is at work, or not known yet */
	/* state: all 0 at first */
	double bank_ns;       /* may be spent */
	double late_ns;       /* what hits cost while probes are being removed, about: the worst of late */
	double placing_ns;    /* placing and removing the probes of this opening, or of the last one */
	double placed_ns;     /* the sum of all of those */
	double early_ns;      /* in: hits before the burst of this opening, or of the last one */
	double skip_allocs;   /* allocations that are not to be recorded before the burst, at most */
	struct spending_shares shares;
	double owed_ns;       /* spent before the first opening */
	size_t openings;      /* begun */
	double age_ns;        /* time that has been earned for */
	double slowed;        /* pieces of work in an opening, lately */
	double since_slow_ns; /* since an opening began that slows requests */
	double since_lookout_ns, lookout_rest_ns; /* since the last lookout; until the next one, at least */
};

/* For hits in one opening, so that it fits into a pause. */
double spending__stretch_ns(const struct spending *s);
/* An opening that is like the last one. */
double spending__opening_ns(const struct spending *s);

/* So much time has passed. SPENT_NS: of the opening that is going on, not taken off yet. */
void spending__earn(struct spending *s, double passed_ns, double spent_ns);
/* For how long to save until an opening can be paid, and until one may slow requests again. 0: now. */
double spending__wait_ns(const struct spending *s);
/* Of a lookout. SLOWS: those of this kind slow requests as openings do. */
double spending__lookout_wait_ns(const struct spending *s, bool slows);

/* Spent before the first opening: hits, and CNT probes placed as below, whose cost is returned. Paid when that opening is over. */
double spending__owe(struct spending *s, size_t cnt, double running, double hits_ns);
/* An opening begins; the first one is on credit. Nothing is to be skipped. */
void spending__begin(struct spending *s);
/* One in which hits are seldom: a lookout. */
void spending__begin_lookout(struct spending *s);
/* CNT probes are placed, and will be removed, while the process runs for this share of the time. */
void spending__place(struct spending *s, size_t cnt, double running);
/*
 * The burst will begin with a piece of work that makes so many allocations, and the last one saw that many: where that is less it is to begin later, by a random
 * number of allocations. Those cost, too: where pieces are longer than can be skipped, most is spent on getting to their end.
 */
void spending__skip(struct spending *s, double piece_allocs, double burst_allocs);
/* Skipping one allocation: its own hit, those of free lists and of what ends meanwhile. */
double spending__skip_ns(const struct spending *s);
/* What the burst may still cost, when SPENT_NS of this opening is spent: the tail must be paid for, too. */
double spending__burst_ns(const struct spending *s, double spent_ns);
double spending__tail_ns(const struct spending *s);
/* What the opening has cost in hits; then what hits cost while its probes were removed. */
void spending__end(struct spending *s, double cost_ns);
void spending__late(struct spending *s, double cost_ns);
/* So many pieces of work were in the opening. */
void spending__slowed(struct spending *s, double pieces);
/* Instead, of a lookout. RAN: the process, in it; DEAREST: what it took from a piece of work, at most. Did it slow requests as an opening does? */
bool spending__end_lookout(struct spending *s, double cost_ns, double ran_ns, double dearest_ns);

#endif
