/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When memory ends: from the history of a process's RSS its growth with a range, from that and the headroom a time with a range. All pure.
 *
 * The rule. The history is kept at even distances, at most 128 means of as many samples each. What one request held for a moment is taken
 * out (each value becomes the median of itself and its neighbours). The growth is the least-squares slope of the rest. The range is that slope plus
 * and minus the 95 % quantile of t times its standard error, for noise that echoes as much as the residuals do (autoregressive of order 1, the
 * coefficient corrected for its bias). Residuals that cannot be told from a random walk are taken for one: a leak that comes in steps is
 * one. Of simulated histories the range holds the truth in 0.94 to 0.99 for noise of any echo, in 0.93 for random walks, and in 0.86 to 0.94
 * for a leak that comes in big steps, one in five samples (tests/unit/model/test_forecast.c).
 *
 * The rate may have changed, or what was before was a warm-up. The newer half is taken instead of the whole when its 99 % range does not hold the
 * slope of the whole; and so on. A newer half that grows faster must also be higher, in its last third, than all that was before it: else it may
 * be a tooth of a saw.
 *
 * What it cannot know: the first tooth of a saw grows until its first fall, and so does a cache until it is full.
 */
#ifndef FORECAST_H
#define FORECAST_H

#include <stddef.h>
#include <stdint.h>

#define HISTORY_MAX 128
#define FORECAST_MIN_SAMPLES 20
#define FORECAST_RESTART_SHARE 0.8
#define FORECAST_NEVER_S (10 * 365 * 86400.0) /* later than this is never */

struct history_point {
	double time_s, bytes; /* since the first sample; means of the samples merged */
};

struct history {
	struct history_point points[HISTORY_MAX];
	size_t cnt;
	uint32_t stride, pending_cnt; /* samples per point; in the point to come */
	struct history_point pending; /* their sums */
	uint64_t start_ns, last_ns, samples;
};

/* All zero is empty. A sample that is not later than the one before is left out. */
void history__add(struct history *h, uint64_t now_ns, uint64_t bytes);

enum trend {
	TREND_UNKNOWN, /* less than FORECAST_MIN_SAMPLES */
	TREND_NOT_GROWING, /* the range holds 0, or shrinks */
	TREND_GROWING,
};

const char *trend__name(enum trend trend); /* "not growing": as in JSON */

struct slope {
	enum trend trend;
	double bytes_per_s, low, high; /* 95 % */
};

struct slope slope__of(const struct history *h);
/* Of two processes that use up the same limit; what does not grow adds nothing. */
struct slope slope__sum(const struct slope *a, const struct slope *b);

struct forecast {
	/* Seconds from now; INFINITY: never, or unknown as the slope is. */
	double limit_in_s, earliest_s, latest_s;
	/*
	 * The time in which the fastest growth of the range uses 80 % of the headroom at the start, rounded down to what people say; 0: none,
	 * as nothing grows or no restart would be fast enough.
	 */
	double restart_every_s;
};

struct forecast forecast__of(const struct slope *s, uint64_t headroom_bytes, uint64_t headroom_at_start_bytes);

#endif
