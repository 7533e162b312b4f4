// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdbool.h>

#include "forecast.h"

#define POINTS_ENOUGH 24 /* for a window of its own */
#define ECHO_MAX 0.999
#define WALK_BELOW 21
#define Z_95 1.960
#define Z_99 2.576

const char *trend__name(enum trend trend)
{
	static const char *const names[] = {
		[TREND_UNKNOWN] = "unknown",
		[TREND_NOT_GROWING] = "not growing",
		[TREND_GROWING] = "growing",
	};

	return names[trend];
}

static void history__merge_pairs(struct history *h)
{
	for (size_t i = 0; i < HISTORY_MAX / 2; i++) {
		const struct history_point *p = &h->points[2 * i];

		h->points[i] = (struct history_point){(p[0].time_s + p[1].time_s) / 2, (p[0].bytes + p[1].bytes) / 2};
	}
	h->cnt = HISTORY_MAX / 2;
	h->stride *= 2;
}

void history__add(struct history *h, uint64_t now_ns, uint64_t bytes)
{
	double time_s;

	if (!h->samples) {
		h->start_ns = now_ns;
		h->stride = 1;
	} else if (now_ns <= h->last_ns) {
		return;
	}
	h->last_ns = now_ns;
	time_s = (double)(now_ns - h->start_ns) / 1e9;
	h->samples++;
	h->pending.time_s += time_s;
	h->pending.bytes += (double)bytes;
	if (++h->pending_cnt < h->stride)
		return;
	if (h->cnt == HISTORY_MAX) {
		history__merge_pairs(h);
		return; /* half of a point: it goes on pending */
	}
	h->points[h->cnt++] = (struct history_point){h->pending.time_s / h->stride, h->pending.bytes / h->stride};
	h->pending = (struct history_point){0};
	h->pending_cnt = 0;
}

struct fit {
	double slope, error; /* standard */
	double freedom;
};

/* How much each value adds to the least-squares slope; they sum up to 0. */
static void slope_weights(const struct history_point *p, size_t cnt, double *weights)
{
	double mean = 0, square = 0;

	for (size_t i = 0; i < cnt; i++)
		mean += p[i].time_s / (double)cnt;
	for (size_t i = 0; i < cnt; i++)
		square += (p[i].time_s - mean) * (p[i].time_s - mean);
	for (size_t i = 0; i < cnt; i++)
		weights[i] = (p[i].time_s - mean) / square;
}

/*
 * Of residuals with themselves one point later, corrected for what the fit of a line takes away (Kendall 1954). What cannot be told from
 * a random walk is taken for one: of such, one in 20 lies more than 21 / n below 1 (Dickey and Fuller 1979).
 */
static double echo_of(const double *residuals, size_t cnt)
{
	double square = 0, product = 0, echo, n = (double)cnt;

	for (size_t i = 0; i < cnt; i++) {
		square += residuals[i] * residuals[i];
		if (i)
			product += residuals[i] * residuals[i - 1];
	}
	if (square <= 0)
		return 0;
	echo = product / square;
	if (n * (1 - echo) < WALK_BELOW)
		return ECHO_MAX;
	echo = (echo + 2 / n) / (1 - 4 / n);
	return fmax(0, fmin(echo, ECHO_MAX));
}

/* The variance of the slope where the noise has innovations of variance 1 and this echo. */
static double slope_variance(const double *weights, size_t cnt, double echo)
{
	double sum = 0;

	for (size_t i = 0; i < cnt; i++) {
		double left = 1;

		sum += weights[i] * weights[i];
		for (size_t j = i + 1; j < cnt; j++) {
			left *= echo;
			sum += 2 * weights[i] * weights[j] * left;
		}
	}
	return sum / (1 - echo * echo);
}

/* Of what is left when the echo is taken away. Means and medians of neighbours have made neighbours alike: what they share counts twice. */
static double innovation_variance(const double *residuals, size_t cnt, double echo)
{
	double squares = 0, products = 0, before = 0;

	for (size_t i = 1; i < cnt; i++) {
		double left = residuals[i] - echo * residuals[i - 1];

		squares += left * left;
		products += left * before;
		before = left;
	}
	return (squares + 2 * fmax(products, 0)) / (double)(cnt - 3);
}

static struct fit fit__of(const struct history_point *p, size_t cnt)
{
	double weights[HISTORY_MAX], residuals[HISTORY_MAX], sum = 0, echo;
	struct fit f = {0};

	slope_weights(p, cnt, weights);
	for (size_t i = 0; i < cnt; i++)
		f.slope += weights[i] * (p[i].bytes - p[0].bytes);
	for (size_t i = 0; i < cnt; i++)
		sum += residuals[i] = p[i].bytes - p[0].bytes - f.slope * p[i].time_s;
	for (size_t i = 0; i < cnt; i++)
		residuals[i] -= sum / (double)cnt;
	echo = echo_of(residuals, cnt);
	f.freedom = fmax(3, (double)cnt * (1 - echo / 2) - 3);
	f.error = sqrt(innovation_variance(residuals, cnt, echo) * slope_variance(weights, cnt, echo));
	return f;
}

/* Of Student's t, from that of the normal distribution; the first terms of Fisher's expansion. */
static double quantile(double z, double freedom)
{
	double z3 = z * z * z;

	return z + (z3 + z) / (4 * freedom) + (5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * freedom * freedom);
}

static bool is_flat(const struct history_point *p, size_t cnt)
{
	for (size_t i = 1; i < cnt; i++)
		if (p[i].bytes != p[0].bytes)
			return false;
	return true;
}

static bool is_new_high(const struct history_point *p, size_t cnt, size_t from)
{
	double before = -INFINITY, lowest = INFINITY;

	for (size_t i = 0; i < from; i++)
		before = fmax(before, p[i].bytes);
	for (size_t i = from + (cnt - from) / 3 * 2; i < cnt; i++)
		lowest = fmin(lowest, p[i].bytes);
	return lowest > before;
}

/* Is the newer part, FROM on, another rate than the WHOLE of P? */
static bool has_changed(const struct history_point *p, size_t cnt, size_t from, const struct fit *whole, const struct fit *part)
{
	double apart = fabs(part->slope - whole->slope);

	if (apart <= quantile(Z_99, part->freedom) * part->error)
		return false;
	return part->slope < whole->slope || is_new_high(p, cnt, from);
}

static double median3(double a, double b, double c)
{
	return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* The ends have no two neighbours and are left out. Returns how many points OUT has. */
static size_t without_spikes(const struct history *h, struct history_point *out)
{
	size_t cnt = 0;

	for (size_t i = 1; i + 1 < h->cnt; i++) {
		const struct history_point *p = &h->points[i];

		out[cnt++] = (struct history_point){p->time_s, median3(p[-1].bytes, p->bytes, p[1].bytes)};
	}
	return cnt;
}

struct slope slope__of(const struct history *h)
{
	struct history_point p[HISTORY_MAX];
	struct fit fit, newer;
	size_t since = 0, from, cnt;
	double half;

	if (h->samples < FORECAST_MIN_SAMPLES)
		return (struct slope){.trend = TREND_UNKNOWN};
	cnt = without_spikes(h, p);
	if (is_flat(p, cnt))
		return (struct slope){.trend = TREND_NOT_GROWING};
	fit = fit__of(p, cnt);
	while ((cnt - since) / 2 >= POINTS_ENOUGH) {
		from = since + (cnt - since) / 2;
		newer = fit__of(p + from, cnt - from);
		if (!has_changed(p, cnt, from, &fit, &newer))
			break;
		fit = newer;
		since = from;
	}
	half = quantile(Z_95, fit.freedom) * fit.error;
	return (struct slope){
		.trend = fit.slope - half > 0 ? TREND_GROWING : TREND_NOT_GROWING,
		.bytes_per_s = fit.slope, .low = fit.slope - half, .high = fit.slope + half,
	};
}

struct slope slope__sum(const struct slope *a, const struct slope *b)
{
	double rate = a->bytes_per_s + b->bytes_per_s;

	if (b->trend != TREND_GROWING)
		return *a;
	if (a->trend != TREND_GROWING)
		return *b;
	/* independent, so their errors add up like those of any sum */
	return (struct slope){
		.trend = TREND_GROWING, .bytes_per_s = rate,
		.low = rate - hypot(a->bytes_per_s - a->low, b->bytes_per_s - b->low),
		.high = rate + hypot(a->high - a->bytes_per_s, b->high - b->bytes_per_s),
	};
}

/* The longest time that people would say and that is not longer. */
static double round_down(double seconds)
{
	static const double times[] = {
		10, 15, 20, 30, 40, 50, 60, 120, 180, 240, 300, 600, 900, 1200, 1500, 1800, 2400, 3000,
		3600, 5400, 7200, 3 * 3600, 4 * 3600, 5 * 3600, 6 * 3600, 8 * 3600, 10 * 3600, 12 * 3600, 16 * 3600, 20 * 3600,
		86400, 2 * 86400, 3 * 86400, 4 * 86400, 5 * 86400, 6 * 86400, 7 * 86400, 14 * 86400, 30 * 86400,
	};
	double best = 0;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) && times[i] <= seconds; i++)
		best = times[i];
	return best;
}

static double time_until(double bytes, double bytes_per_s)
{
	double seconds = bytes_per_s > 0 ? bytes / bytes_per_s : INFINITY;

	return seconds > FORECAST_NEVER_S ? INFINITY : seconds;
}

struct forecast forecast__of(const struct slope *s, uint64_t headroom_bytes, uint64_t headroom_at_start_bytes)
{
	if (s->trend != TREND_GROWING)
		return (struct forecast){INFINITY, INFINITY, INFINITY, 0};
	return (struct forecast){
		.limit_in_s = time_until((double)headroom_bytes, s->bytes_per_s),
		.earliest_s = time_until((double)headroom_bytes, s->high),
		.latest_s = time_until((double)headroom_bytes, s->low),
		.restart_every_s = round_down(FORECAST_RESTART_SHARE * (double)headroom_at_start_bytes / s->high),
	};
}
