// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "point.h"

#define ONSET_SHARE 0.1

#define NS 1e9

static int64_t lower(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t higher(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

struct point point__of(uint64_t time_ns, uint32_t interval, int64_t value)
{
	return (struct point){
		.time_ns = time_ns, .min = value, .max = value, .last = value, .ticks = 1, .interval = interval,
	};
}

struct point point__merge(const struct point *a, const struct point *b)
{
	return (struct point){
		.time_ns = b->time_ns,
		.min = lower(a->min, b->min),
		.max = higher(a->max, b->max),
		.last = b->last,
		.drop = higher(higher(a->drop, b->drop), a->max - b->min),
		.ticks = a->ticks + b->ticks,
		.interval = b->interval,
	};
}

size_t points__thin(struct point *points, size_t cnt)
{
	size_t best = 0, best_len = 0, len;

	if (cnt < 2)
		return cnt;
	/* from the newest, so that among equals the finest goes: its loss is the smallest */
	for (size_t end = cnt; end > 0; end -= len) {
		len = 1;
		while (len < end && points[end - 1 - len].ticks == points[end - 1].ticks)
			len++;
		if (len > best_len) {
			best_len = len;
			best = end - len;
		}
	}
	if (best_len < 2)
		best = 0;
	points[best] = point__merge(&points[best], &points[best + 1]);
	memmove(&points[best + 1], &points[best + 2], (cnt - best - 2) * sizeof(*points));
	return cnt - 1;
}

int64_t points__min(const struct point *points, size_t cnt, uint64_t from_ns, uint64_t to_ns)
{
	int64_t min = INT64_MAX;

	for (size_t i = 0; i < cnt; i++)
		if (points[i].time_ns > from_ns && points[i].time_ns <= to_ns)
			min = lower(min, points[i].min);
	return min;
}

double points__gain(const struct point *points, size_t cnt)
{
	uint64_t start, span;
	int64_t first, last;

	if (!cnt)
		return 0;
	/* too short a history for a trend: nothing was outstanding when the tracer came, so all of it was gained */
	if (cnt < 4)
		return (double)points[cnt - 1].min;
	start = points[0].time_ns;
	span = points[cnt - 1].time_ns - start;
	first = lower(points[0].min, points__min(points, cnt, start, start + span / 3));
	last = points__min(points, cnt, start + span / 3 * 2, UINT64_MAX);
	return (double)(last - first);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t cnt)
{
	if (!cnt)
		return 0;
	qsort(values, cnt, sizeof(*values), compare);
	return cnt % 2 ? values[cnt / 2] : (values[cnt / 2 - 1] + values[cnt / 2]) / 2;
}

static const struct point *newest(const struct point *points, size_t *cnt)
{
	size_t skip = *cnt > POINTS_MAX ? *cnt - POINTS_MAX : 0;

	*cnt -= skip;
	return points + skip;
}

double points__slope(const struct point *points, size_t cnt)
{
	double slopes[POINTS_MAX * (POINTS_MAX - 1) / 2];
	size_t used = 0;

	points = newest(points, &cnt);
	for (size_t i = 0; i < cnt; i++) {
		for (size_t j = i + 1; j < cnt; j++) {
			double dt = (double)(points[j].time_ns - points[i].time_ns) / NS;

			if (dt > 0)
				slopes[used++] = (double)(points[j].last - points[i].last) / dt;
		}
	}
	return median(slopes, used);
}

double points__trend(const struct point *points, size_t cnt)
{
	double s = 0, n = (double)cnt, variance = n * (n - 1) * (2 * n + 5);

	for (size_t i = 0; i < cnt; i++) {
		double ties = 1;
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen |= points[j].last == points[i].last;
		for (size_t j = i + 1; j < cnt; j++) {
			s += (points[j].last > points[i].last) - (points[j].last < points[i].last);
			ties += points[j].last == points[i].last;
		}
		if (!seen)
			variance -= ties * (ties - 1) * (2 * ties + 5);
	}
	if (variance <= 0 || s == 0)
		return 0;
	return (s > 0 ? s - 1 : s + 1) / sqrt(variance / 18);
}

double points__noise(const struct point *points, size_t cnt)
{
	double rates[POINTS_MAX], steps[POINTS_MAX], rate;

	points = newest(points, &cnt);
	if (cnt < 3)
		return 0;
	for (size_t i = 1; i < cnt; i++)
		rates[i - 1] = (double)(points[i].last - points[i - 1].last) / points[i].ticks;
	rate = median(rates, cnt - 1);
	for (size_t i = 1; i < cnt; i++)
		steps[i - 1] = fabs((double)(points[i].last - points[i - 1].last) - rate * points[i].ticks);
	/* 1.4826: from the median deviation to the standard one; sqrt(2): a step has the noise of two values */
	return median(steps, cnt - 1) * 1.4826 / sqrt(2);
}

double points__autocorrelation(const struct point *points, size_t cnt)
{
	double left[POINTS_MAX], slope, mean = 0, square = 0, product = 0;

	points = newest(points, &cnt);
	slope = points__slope(points, cnt);
	for (size_t i = 0; i < cnt; i++) {
		left[i] = (double)points[i].last - slope * (double)(points[i].time_ns - points[0].time_ns) / NS;
		mean += left[i] / (double)cnt;
	}
	for (size_t i = 0; i < cnt; i++) {
		square += pow(left[i] - mean, 2);
		if (i)
			product += (left[i] - mean) * (left[i - 1] - mean);
	}
	return square > 0 ? product / square : 0;
}

size_t points__onset(const struct point *points, size_t cnt)
{
	double bottom = INFINITY;
	size_t at = 0;

	for (size_t i = 0; i < cnt; i++)
		bottom = fmin(bottom, (double)points[i].min);
	for (size_t i = 0; i < cnt; i++)
		if ((double)points[i].min <= bottom + ONSET_SHARE * ((double)points[cnt - 1].last - bottom))
			at = i;
	return at;
}
