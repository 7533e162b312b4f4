// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rule is told in verdict.h; the letters here are its letters. */
#include <math.h>
#include <string.h>

#include "drops.h"
#include "verdict.h"

#define DROP_SHARE 0.02     /* of the range: a smaller fall is none */
#define DROP_BIG 0.25       /* of the rise: a larger fall must be explained */
#define RISE_EARLY_SHARE 0.12 /* of the rise: from the first third to the second; little when it accelerates */
#define RISE_LATE_SHARE 0.2   /* from the second to the last */
#define RISE_MIN_STEPS 4
#define DENSE_SHARE 0.6 /* of all ticks with a step */
#define TREND_MIN_Z 3.0
#define TREND_MIN_Z_CHURN 3.5
#define LAST_THIRD_SHARE 0.3 /* of the mean rate */
#define SLOWING_SHARE 0.75
#define NO_ECHO 0.3 /* below: the values are as good as independent */
#define LONG_TEETH 4
#define BEEN_HERE_BYTES (1 << 20)

struct window {
	struct point points[POINTS_MAX];
	size_t cnt;
	uint64_t start, span; /* time */
	double noise;
	double echo;          /* of the noise: points__autocorrelation() */
	double rise;          /* from the lowest of the first third to the lowest of the last */
};

enum judgement { NO, SLOWING, YES };

static struct window window__make(const struct point *points, size_t cnt)
{
	struct window w = {.cnt = cnt < POINTS_MAX ? cnt : POINTS_MAX};

	memcpy(w.points, points + cnt - w.cnt, w.cnt * sizeof(*points));
	/* it starts where its first point ended: what was before may be what the window is to leave out */
	w.points[0].min = w.points[0].max = w.points[0].last;
	w.points[0].drop = 0;
	w.start = w.points[0].time_ns;
	w.span = w.points[w.cnt - 1].time_ns - w.start;
	return w;
}

/* The lowest value between two shares of the window's time; the first point belongs to the first share. */
static double window__min(const struct window *w, double from, double to)
{
	uint64_t from_ns = w->start + (uint64_t)((double)w->span * from);
	uint64_t to_ns = w->start + (uint64_t)((double)w->span * to);
	int64_t min = points__min(w->points, w->cnt, from_ns, to >= 1 ? UINT64_MAX : to_ns);

	if (from <= 0 && w->points[0].min < min)
		min = w->points[0].min;
	return (double)min;
}

/* The last value at a share of the window's time. */
static double window__at(const struct window *w, double share)
{
	uint64_t at_ns = w->start + (uint64_t)((double)w->span * share);
	double value = (double)w->points[0].last;

	for (size_t i = 0; i < w->cnt && w->points[i].time_ns <= at_ns; i++)
		value = (double)w->points[i].last;
	return value;
}

static bool enough(const struct point *points, size_t cnt, uint32_t intervals)
{
	return cnt >= VERDICT_MIN_TICKS && points[cnt - 1].interval - points[0].interval + 1 >= intervals;
}

/* (a) in every third, (b) in several steps and without a tail that is flat for too long */
static bool window__rises_throughout(struct window *w)
{
	double first = window__min(w, 0, 1.0 / 3), middle = window__min(w, 1.0 / 3, 2.0 / 3), last = window__min(w, 2.0 / 3, 1);
	uint64_t kept_until = w->points[w->cnt - 1].time_ns, longest = 0, tail = 0;
	int64_t envelope = INT64_MAX;
	uint32_t steps = 0;

	w->rise = last - first;
	if (w->rise <= 0 || middle - first < RISE_EARLY_SHARE * w->rise ||
	    last - middle < RISE_LATE_SHARE * w->rise)
		return false;
	/* the lower envelope, backwards: what was never given back later */
	for (size_t i = w->cnt; i-- > 0;) {
		uint64_t gap = kept_until - w->points[i].time_ns;

		if (w->points[i].min >= envelope)
			continue;
		if (envelope != INT64_MAX) {
			if (!steps++)
				tail = gap;
			else if (gap > longest)
				longest = gap;
			kept_until = w->points[i].time_ns;
		}
		envelope = w->points[i].min;
	}
	if (steps < RISE_MIN_STEPS)
		return false;
	/* What rose nearly every tick and then did not has stopped; what rises now and then may only pause. */
	if (steps >= DENSE_SHARE * (double)w->cnt)
		return tail <= 2 * longest + w->span / w->cnt;
	return tail <= 3 * longest + w->span / w->cnt;
}

/* (c) */
static bool window__last_third_rises(const struct window *w)
{
	double seconds = (double)w->span / 1e9, noise_slope;
	size_t from = 0, cnt;
	double rate, envelope, slope;

	while (from + 2 < w->cnt && w->points[from + 1].time_ns - w->start <= w->span / 3 * 2)
		from++;
	cnt = w->cnt - from;
	rate = w->rise / (seconds * 2 / 3);
	envelope = ((double)w->points[w->cnt - 1].last - window__at(w, 2.0 / 3)) / (seconds / 3);
	slope = points__slope(w->points + from, cnt);
	/* standard error of a slope over cnt values */
	noise_slope = w->noise * sqrt(12.0 / (double)cnt) / (seconds / 3);
	return fmax(envelope, slope + noise_slope) >= LAST_THIRD_SHARE * rate;
}

/* (d) over the last two thirds, so that a warm-up before a leak does not count */
static bool window__slows(const struct window *w)
{
	double half[2] = {window__at(w, 2.0 / 3) - window__at(w, 1.0 / 3), window__at(w, 1) - window__at(w, 2.0 / 3)};
	double deviations = 0, ticks[2] = {0, 0};
	uint64_t from = w->start + w->span / 3, middle = w->start + w->span / 3 * 2;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 1; i < w->cnt; i++) {
			const struct point *p = &w->points[i];
			int h = p->time_ns > middle;
			double step = (double)(p->last - p[-1].last);

			if (p->time_ns <= from)
				continue;
			if (!pass)
				ticks[h] += p->ticks;
			else
				deviations += pow(step - half[h] * p->ticks / ticks[h], 2);
		}
	}
	return half[1] < SLOWING_SHARE * half[0] && half[0] - half[1] >= 3 * sqrt(deviations);
}

/* (e) Falls like this one go on: churn, or a saw with many teeth, and not one tooth's end. */
static bool drop__is_churn(const struct drop *drop, const struct drops *d, const struct window *w)
{
	uint64_t last_third = w->start + w->span / 3 * 2;
	bool recent = false;
	int others = 0;

	if (drop->size <= 4 * w->noise || (!drop->returned && drop->size <= 8 * w->noise && w->echo < NO_ECHO))
		return true;
	for (size_t i = 0; i < d->cnt; i++) {
		const struct drop *other = &d->drops[i];

		if (other == drop)
			recent |= other->trough_ns > last_third;
		if (other == drop || other->size * 2 < drop->size || other->trough_ns <= w->start)
			continue;
		others++;
		recent |= other->trough_ns > last_third;
	}
	return others >= 3 && recent;
}

/* The last fall that may be the end of a tooth; NULL if there is none. */
static const struct drop *window__last_tooth(const struct window *w, const struct drops *d)
{
	for (size_t i = d->cnt; i-- > 0;) {
		const struct drop *drop = &d->drops[i];

		if ((drop->returned || drop->size >= DROP_BIG * w->rise) && !drop__is_churn(drop, d, w))
			return drop;
	}
	return NULL;
}

static bool window__rises_above_churn(const struct window *w, const struct drops *d)
{
	double z = points__trend(w->points, w->cnt);

	if (d->deepest < DROP_BIG * w->rise)
		return z >= TREND_MIN_Z;
	/* slow waves look like a trend: only as many values count as are independent */
	z *= sqrt((1 - w->echo) / (1 + w->echo));
	return z >= TREND_MIN_Z_CHURN && w->rise >= d->deepest * (0.5 + 5.0 / (double)w->cnt);
}

/* (f) Higher, at its lowest, than all that was before the window. */
static bool window__is_new_high(const struct window *w, const struct point *history)
{
	double lowest = window__min(w, 2.0 / 3, 1);

	for (; history->time_ns < w->start; history++)
		if ((double)history->max >= lowest)
			return false;
	return true;
}

static uint64_t drops__longest_tooth(const struct drops *d, const struct drop *upto)
{
	uint64_t longest = 0;

	for (const struct drop *drop = d->drops; drop <= upto; drop++)
		if (drop->trough_ns - drop->start_ns > longest)
			longest = drop->trough_ns - drop->start_ns;
	return longest;
}

/* The window from point FROM on. */
static enum judgement judge(const struct evidence *e, size_t from, const struct drops *d, uint32_t intervals)
{
	const struct drop *tooth;
	struct window w;

	/* most rows end here, and there may be many */
	if (!enough(e->points + from, e->cnt - from, intervals))
		return NO;
	w = window__make(e->points + from, e->cnt - from);
	if (!window__rises_throughout(&w))
		return NO;
	w.noise = points__noise(w.points, w.cnt);
	w.echo = fmax(points__autocorrelation(w.points, w.cnt), 0);
	if (!window__last_third_rises(&w))
		return NO;
	if (e->been_here && w.rise > BEEN_HERE_BYTES && !enough(w.points, w.cnt, VERDICT_LONG_INTERVALS))
		return NO;
	tooth = window__last_tooth(&w, d);
	if (intervals == VERDICT_LONG_INTERVALS && !tooth)
		return NO; /* this window is for what follows a tooth only */
	if (tooth && (w.start < tooth->trough_ns || !enough(w.points, w.cnt, VERDICT_LONG_INTERVALS) ||
		      w.span < LONG_TEETH * drops__longest_tooth(d, tooth)))
		return NO;
	if ((!tooth || d->cnt > 2) && !window__is_new_high(&w, e->points))
		return NO;
	/* what was before the window has been judged by the tooth */
	if (!tooth && !window__rises_above_churn(&w, d))
		return NO;
	return window__slows(&w) ? SLOWING : YES;
}

/* After one step that made more than half of the rise and stands out of the noise; 0 if there is none. */
static size_t after_burst(const struct point *points, size_t cnt)
{
	double rise = (double)(points[cnt - 1].last - points[0].last), biggest = 0;
	size_t at = 0;

	for (size_t i = 1; i < cnt; i++) {
		double step = (double)(points[i].last - points[i - 1].last);

		if (step > biggest) {
			biggest = step;
			at = i;
		}
	}
	return biggest * 2 > rise && biggest > 6 * points__noise(points, cnt) ? at : 0;
}

static enum judgement judge_all(const struct evidence *e, const struct drops *d)
{
	enum judgement j = judge(e, 0, d, VERDICT_MIN_INTERVALS);
	size_t skip = 0, step;

	if (j == NO)
		j = judge(e, points__onset(e->points, e->cnt), d, VERDICT_MIN_INTERVALS);
	for (int i = 0; j == NO && i < 3; i++) {
		step = after_burst(e->points + skip, e->cnt - skip);
		if (!step)
			break;
		skip += step;
		j = judge(e, skip, d, VERDICT_MIN_INTERVALS);
	}
	for (size_t i = d->cnt; j == NO && i-- > 0;) {
		if (!enough(e->points + d->drops[i].trough, e->cnt - d->drops[i].trough, VERDICT_LONG_INTERVALS))
			continue;
		/* an older one would have this fall inside */
		j = judge(e, d->drops[i].trough, d, VERDICT_LONG_INTERVALS);
		break;
	}
	return j;
}

/* Not growing: does it still gain something that it never had? */
static bool still_rises(const struct evidence *e)
{
	struct window w = window__make(e->points, e->cnt);
	double before = -INFINITY, gained;

	for (size_t i = 0; i < w.cnt && w.points[i].time_ns - w.start <= w.span / 3 * 2; i++)
		before = fmax(before, (double)w.points[i].max);
	gained = (double)w.points[w.cnt - 1].last - window__min(&w, 0, 1);
	before = (double)w.points[w.cnt - 1].last - before - 0.05 * gained;
	return gained > 0 && before > 0 && before > 2 * points__noise(w.points, w.cnt);
}

enum verdict verdict__of(const struct evidence *e)
{
	struct drops d;

	if (!enough(e->points, e->cnt, VERDICT_MIN_INTERVALS))
		return VERDICT_UNKNOWN;
	drops__find(&d, e->points, e->cnt, DROP_SHARE);
	switch (judge_all(e, &d)) {
	case YES:
		return VERDICT_GROWING;
	case SLOWING:
		return VERDICT_WARMING;
	case NO:
		break;
	}
	return still_rises(e) ? VERDICT_WARMING : VERDICT_STABLE;
}

const char *verdict__name(enum verdict v)
{
	static const char *const names[] = {
		[VERDICT_UNKNOWN] = "unknown",
		[VERDICT_STABLE] = "stable",
		[VERDICT_WARMING] = "warming",
		[VERDICT_GROWING] = "growing",
	};

	return names[v];
}
