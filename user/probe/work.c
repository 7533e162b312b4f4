// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>

#include "work.h"

#define COST_TIMES 3     /* on a loaded machine tracing takes that much more than is charged */
#define CLOCK_AGE_NS 5e6 /* the CPU clock of another process may be as old as a tick, at the begin and at the end */
/* An allocation and what the program does with it: 80 to 150 for JSON, pickle, sets, 30 where there is nothing else. By so much of a hit tracing may be wrong. */
#define EVENT_NS_TYPICAL 80.0
#define EVENT_HIT_SHARE 0.3
#define TAIL_FREES_MIN 100
#define SEVERAL 2      /* waits in a burst: then it has seen a whole piece of work */
#define UNSEEN_MIN 4   /* waits between bursts, to go by them */
#define UNTOLD_MAX 3   /* bursts */
#define KEPT 0.8       /* of the sums, each time */

void work__tail(struct work *w, double own_ns, double frees)
{
	w->tail_own_ns += own_ns;
	w->tail_frees += frees;
}

double work__event_ns(const struct work *w)
{
	double seen = w->tail_frees > TAIL_FREES_MIN ? w->tail_own_ns / w->tail_frees : 0;

	return EVENT_NS_TYPICAL + fmax(seen - EVENT_NS_TYPICAL - w->hit_ns * EVENT_HIT_SHARE, 0);
}

static void remember(struct work *w, const struct work_burst *b)
{
	if (b->unseen_ns > 0 && b->unseen_waits > 0) {
		w->unseen_ns = w->unseen_ns * KEPT + b->unseen_ns;
		w->unseen_waits = w->unseen_waits * KEPT + b->unseen_waits;
		w->bursts++;
	}
	if (b->waits >= SEVERAL && b->allocs > 0) {
		w->piece_allocs = w->piece_allocs * KEPT + b->allocs;
		w->piece_waits = w->piece_waits * KEPT + b->waits;
	}
}

/*
 * By pieces of work, from one wait to the next: what one takes between bursts, and how many allocations it makes. 0: not known. The first bursts may be too
 * short to tell; that they are all within one piece is not assumed before there were some, as one with a weight that is much too large spoils all sums for long.
 */
static double by_pieces(const struct work *w, const struct work_burst *b)
{
	double piece_ns;

	if (w->unseen_waits < UNSEEN_MIN)
		return 0;
	piece_ns = w->unseen_ns / w->unseen_waits;
	if (w->piece_waits > 0)
		return b->allocs * w->piece_waits / w->piece_allocs * piece_ns;
	return w->bursts <= UNTOLD_MAX && b->waits >= 0 ? fmax(b->waits, 1) * piece_ns : 0;
}

/*
 * By allocations, and what one takes as seen in tails; a steady program frees as often as it allocates. Where a hit takes so long that this cannot be told
 * from it: what one usually takes. A process that mostly waits does more than that each time it wakes up, which bursts of several pieces tell.
 */
double work__own_ns(struct work *w, const struct work_burst *b)
{
	double difference = b->cpu_ns - b->cost_ns, most = fmax(difference, 0) + CLOCK_AGE_NS;

	remember(w, b);
	if (difference > COST_TIMES * b->cost_ns + CLOCK_AGE_NS)
		return difference;
	return fmax(b->allocs * work__event_ns(w), b->mostly_waits ? fmin(by_pieces(w, b), most) : 0);
}
