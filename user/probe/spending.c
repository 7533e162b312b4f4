// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>

#include "spending.h"

#define STRETCH_SHARE 0.75  /* of the longest pause: what an opening may spend; the rest is for what comes late */
#define BANK_OPENINGS 2     /* may be saved: what is earned while the right moment is waited for, and while probes are placed, is not lost */
#define LATE_KEPT 0.8       /* of what is thought to come late, at each opening */
#define LATE_FIRST 0.2      /* of the longest pause: while nothing is known */
#define SPENT_SHARE 0.85    /* of the budget; the rest is for what is not charged */
#define BUDGET_LARGE 0.02   /* who allows more has more slow requests anyway */
/*
 * Openings for each piece of work, at most: a service's 99th percentile is to stay as it was, and each opening slows one or two requests beyond it where a hit takes 0.6 us
 * (measured: 62 and 66 of 43 and 55 openings, of 1 ms and 250 a second; of what is not in an opening as few as of an untraced twin), up to 10 where it takes 5.
 * One in a thousand requests moves its 99th percentile to where its 98.9th was.
 */
#define OPENINGS_PER_PIECE 0.0003
/*
 * Of a service that is asked less than some 300 times a second that would leave too few to find a leak in a minute. So it gets as many as the budget pays for at first, and
 * then one in TURN_MOST_NS at least. Where even that slows more than SLOWED_MOST of its pieces of work, as they are seldom, or so short that an opening lasts for many, its
 * percentile cannot be kept, and it always gets as many as the budget pays for.
 */
#define EAGER_NS 10e9
#define TURN_MOST_NS 12e9
#define SLOWED_MOST 0.01
#define SLOWED_NEW 0.3      /* how much the last opening tells of how many the next one will slow */
/*
 * Lookouts slow many pieces of work a little: what slows them by no more than LOOKOUT_SLOWS, and none by as much as an average one takes, moves a percentile as it moves the mean,
 * which is LOOKOUT_SHARE of its own time.
 */
#define LOOKOUT_SLOWS 0.3
#define LOOKOUT_SHARE 0.02
#define BUSY_LEAST 1e-3     /* one that does next to nothing has lookouts in the end */
#define SKIP_HITS 2.4       /* for each allocation that is skipped, about */

static const struct spending_shares straight = { 0, 0.45, 0.45 }, usual = { 0.3, 0.3, 0.3 }, deep = { 0.6, 0.25, 0.05 };
/* Hits come so much more seldom that what slows the process to half its speed lasts twice as long as they take. */
static const struct spending_shares seldom = { 0, 0.3, 0.3 };

double spending__stretch_ns(const struct spending *s)
{
	double most = s->max_pause_ns * STRETCH_SHARE;

	return fmax(most - s->late_ns - s->early_ns - s->placing_ns, most / 4);
}

double spending__opening_ns(const struct spending *s)
{
	return spending__stretch_ns(s) + s->placing_ns + s->early_ns + s->late_ns;
}

/* What one nanosecond of time earns. */
static double income(const struct spending *s)
{
	return s->budget * SPENT_SHARE;
}

/* From one opening that slows requests to the next one, at least. */
static double turn_ns(const struct spending *s)
{
	double turn, most;

	if (s->budget >= BUDGET_LARGE || s->pieces_per_ns <= 0)
		return 0;
	turn = 1 / (OPENINGS_PER_PIECE * s->pieces_per_ns);
	most = fmin(turn, TURN_MOST_NS);
	if (fmax(s->slowed, 1) > SLOWED_MOST * s->pieces_per_ns * most)
		return 0;
	return turn > most && s->age_ns <= EAGER_NS ? 0 : most;
}

void spending__earn(struct spending *s, double passed_ns, double spent_ns)
{
	s->age_ns += passed_ns;
	s->since_slow_ns += passed_ns;
	s->since_lookout_ns += passed_ns;
	s->bank_ns = fmin(s->bank_ns + passed_ns * income(s), BANK_OPENINGS * spending__opening_ns(s) + spent_ns);
}

static double money_wait_ns(const struct spending *s)
{
	return fmax(spending__opening_ns(s) - s->bank_ns, 0) / income(s);
}

double spending__wait_ns(const struct spending *s)
{
	return fmax(money_wait_ns(s), turn_ns(s) - s->since_slow_ns);
}

double spending__lookout_wait_ns(const struct spending *s, bool slows)
{
	if (slows)
		return spending__wait_ns(s);
	return fmax(money_wait_ns(s), turn_ns(s) > 0 ? s->lookout_rest_ns - s->since_lookout_ns : 0);
}

double spending__owe(struct spending *s, size_t cnt, double running, double hits_ns)
{
	double ns = cnt * s->place_ns * running;

	s->placed_ns += ns;
	s->owed_ns += ns + hits_ns;
	return ns;
}

static void begin(struct spending *s, struct spending_shares shares)
{
	if (!s->openings++)
		s->late_ns = s->max_pause_ns * LATE_FIRST;
	s->placing_ns = 0;
	s->early_ns = 0;
	s->skip_allocs = 0;
	s->shares = shares;
}

void spending__begin(struct spending *s)
{
	begin(s, straight);
	s->since_slow_ns = 0;
}

void spending__begin_lookout(struct spending *s)
{
	begin(s, seldom);
}

bool spending__end_lookout(struct spending *s, double cost_ns, double ran_ns, double dearest_ns)
{
	double piece = s->pieces_per_ns > 0 ? s->busy / s->pieces_per_ns : INFINITY;
	bool slowed = cost_ns > ran_ns * LOOKOUT_SLOWS || dearest_ns > piece;

	spending__end(s, cost_ns);
	s->since_lookout_ns = 0;
	s->lookout_rest_ns = cost_ns / (LOOKOUT_SHARE * fmax(s->busy, BUSY_LEAST));
	if (slowed)
		s->since_slow_ns = 0;
	return slowed;
}

void spending__place(struct spending *s, size_t cnt, double running)
{
	double ns = cnt * s->place_ns * running;

	s->placing_ns += ns;
	s->placed_ns += ns;
	s->bank_ns = s->openings > 1 ? s->bank_ns - ns : spending__stretch_ns(s);
}

void spending__skip(struct spending *s, double piece_allocs, double burst_allocs)
{
	double all = spending__stretch_ns(s) / spending__skip_ns(s);

	if (piece_allocs <= burst_allocs)
		return;
	s->shares = piece_allocs > all * usual.skip ? deep : usual;
	s->skip_allocs = fmin(piece_allocs, all * s->shares.skip);
}

double spending__skip_ns(const struct spending *s)
{
	return SKIP_HITS * s->hit_ns;
}

double spending__burst_ns(const struct spending *s, double spent_ns)
{
	double stretch = spending__stretch_ns(s), left = s->bank_ns - spent_ns - stretch * (s->shares.tail + s->shares.skip);

	return fmax(fmin(left, stretch * s->shares.burst), 0);
}

double spending__tail_ns(const struct spending *s)
{
	return spending__stretch_ns(s) * s->shares.tail;
}

void spending__end(struct spending *s, double cost_ns)
{
	s->bank_ns -= cost_ns + s->owed_ns;
	s->owed_ns = 0;
}

void spending__slowed(struct spending *s, double pieces)
{
	s->slowed = s->slowed > 0 ? s->slowed + (pieces - s->slowed) * SLOWED_NEW : pieces;
}

void spending__late(struct spending *s, double cost_ns)
{
	s->bank_ns -= cost_ns;
	s->late_ns = fmax(cost_ns, s->late_ns * LATE_KEPT);
}
