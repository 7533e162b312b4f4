/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does this leak? A pure function from the history of one number (bytes outstanding) to a verdict.
 *
 * The rule. `unknown` until there are 5 report intervals and 8 points. Then `growing` if one of these windows, each ending now, passes
 * all tests: the whole history; from where the rise began (the last value in the lowest tenth of it); from after a single step
 * that made more than half of the rise; from after the last tooth (see e). The tests:
 *
 *  (a) The lowest value rises from third to third of the window's time, by at least 12 % and then 20 % of the whole rise. Lowest: what
 *      requests hold for a while does not count, a kept burst is in one third only, a full cache and the end of a warm-up fail.
 *  (b) The lower envelope (the lowest value from a point on) rises in at least 4 steps, and the time since the last one is at
 *      most 3 times the longest between two (twice where nearly every tick is a step).
 *  (c) The last third still grows at 30 % or more of the mean rate (its ends, or its Theil-Sen slope plus one standard error).
 *  (d) It does not slow down: `warming` if, in the last two thirds, the second half gains less than 75 % of the first half and
 *      the difference is more than 3 standard deviations of a sum of such steps.
 *  (e) No tooth of a saw. A fall of more than a quarter of the rise, or one that gave back half of all that was gained until then, ends
 *      a tooth, unless it is churn: within 4 standard deviations of the noise (8 where it gave back less and the noise has
 *      no echo), or there were 3 others of half its size and one of them recently. After a tooth only a window that starts at its trough counts, and
 *      only after 12 intervals and 4 times the longest tooth: the first tooth seen may be the end of one that began before the attach.
 *  (f) A window that leaves out a part of the history is, at its lowest in the last third, higher than all that was before.
 *  (g) Mann-Kendall: Z >= 3. Where falls are more than a quarter of the rise: Z >= 3.5 with only as many values as
 *      are independent, and a rise of at least half of the deepest fall, more when there are few points.
 *
 * Where the process has been as big as now before the attach and the growth is more than 1 MiB: 12 intervals instead of 5.
 * Not growing is `warming` while the value still climbs above all that it was in the first two thirds, else `stable`.
 *
 * What it cannot know: a cache that fills at a steady rate during all of the history is called growing until it is full; a
 * first tooth that is less than a quarter of the second, when the second lasts longer than 12 intervals, likewise.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "point.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_STABLE, VERDICT_WARMING, VERDICT_GROWING };
const char *verdict__name(enum verdict v); /* "growing": as in JSON */

#define VERDICT_MIN_INTERVALS 5
#define VERDICT_MIN_TICKS 8
#define VERDICT_LONG_INTERVALS 12

struct evidence {
	const struct point *points; /* oldest first */
	size_t cnt;
	/*
	 * The process was at least this big before (its RSS has not passed the peak from before the attach): what looks like growth
	 * may be the refill of what it had.
	 */
	bool been_here;
};

enum verdict verdict__of(const struct evidence *e);

#endif
