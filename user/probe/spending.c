// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>

#include "spending.h"

#define STRETCH_SHARE 0.75  /* of the longest pause: what an opening may spend; the rest is for what comes late */
#define BANK_OPENINGS 2     /* may be saved: what is earned while the right moment is waited for, and while probes are placed, is not lost */
#define LATE_KEPT 0.8       /* of what is thought to come late, at each opening */
#define LATE_FIRST 0.2      /* of the longest pause: while nothing is known */
#define SPENT_SHARE 0.85    /* of the budget; the rest is for what is not charged */
#define SPENT_SHARE_MIN 0.1
#define BUDGET_LARGE 0.02   /* who allows more has more slow requests anyway */
/*
 * Openings for each piece of work, at most: a service's 99th percentile is to stay as it was, and each opening slows 8 to 10 requests (measured, of 0.4 ms and 800
 * a second): those in it, and those that find their code and data cold. Three in a thousand of a service's requests move its 99th percentile to where
 * its 98.7th was.
 */
#define OPENINGS_PER_PIECE 0.0003
/*
 * Of a service that is asked less than some 300 times a second that would leave too few to find a leak in a minute. So it gets as many as the budget pays for
 * at first, and then as few as SPENT_SHARE_MIN pays for; where even those are more than three in a thousand of its pieces of work, its
 * percentile cannot be kept, and it goes on.
 */
#define EAGER_NS 90e9
#define RARE_TIMES 10
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

double spending__income(const struct spending *s)
{
	double share;

	if (s->budget >= BUDGET_LARGE || s->pieces_per_ns <= 0)
		return s->budget * SPENT_SHARE;
	share = OPENINGS_PER_PIECE * s->pieces_per_ns * spending__opening_ns(s) / s->budget;
	if (share < SPENT_SHARE_MIN)
		share = share * RARE_TIMES >= SPENT_SHARE_MIN && s->age_ns > EAGER_NS ? SPENT_SHARE_MIN : SPENT_SHARE;
	return s->budget * fmin(share, SPENT_SHARE);
}

void spending__earn(struct spending *s, double passed_ns, double spent_ns)
{
	s->age_ns += passed_ns;
	s->bank_ns = fmin(s->bank_ns + passed_ns * spending__income(s), BANK_OPENINGS * spending__opening_ns(s) + spent_ns);
}

double spending__wait_ns(const struct spending *s)
{
	return fmax(spending__opening_ns(s) - s->bank_ns, 0) / spending__income(s);
}

double spending__owe(struct spending *s, size_t cnt, double running, double hits_ns)
{
	double ns = cnt * s->place_ns * running;

	s->placed_ns += ns;
	s->owed_ns += ns + hits_ns;
	return ns;
}

void spending__begin(struct spending *s)
{
	if (!s->openings++)
		s->late_ns = s->max_pause_ns * LATE_FIRST;
	s->placing_ns = 0;
	s->early_ns = 0;
	s->skip_allocs = 0;
	s->shares = straight;
}

void spending__begin_lookout(struct spending *s)
{
	spending__begin(s);
	s->shares = seldom;
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

void spending__late(struct spending *s, double cost_ns)
{
	s->bank_ns -= cost_ns;
	s->late_ns = fmax(cost_ns, s->late_ns * LATE_KEPT);
}
