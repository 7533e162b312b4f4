// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>

#include "large.h"

#define SLACK_BYTES (2LL << 20) /* libc may give out so much that it had */
#define GAIN_MIN_BYTES (2 * SLACK_BYTES)
#define RISE_MIN_BYTES (1LL << 20)
#define RISE_MOST_NS 60000000000ULL
#define EXPLAINED_SHARE 0.75
#define KNOWN_SHARE 0.25
#define MOVED_FACTOR_MAX 8

void large__begin(struct large *l, int64_t gained)
{
	l->gained = gained;
	l->sampled = l->certain = l->ghosts = l->moved = 0;
}

void large__weigh(struct large *l)
{
	double room = fmax(l->gained - l->certain, 0), left;

	l->factor = l->sampled > room + SLACK_BYTES ? (room + SLACK_BYTES) / l->sampled : 1;
	left = room - l->sampled * l->factor;
	l->ghost_factor = left <= 0 || l->ghosts <= 0 ? 0 : l->ghosts > left ? left / l->ghosts : 1;
	l->moved_factor = l->ghost_factor;
	if (l->ghost_factor >= 1 && l->moved > 0) /* they go on growing where we do not see them */
		l->moved_factor = fmin(1 + (left - l->ghosts) / l->moved, MOVED_FACTOR_MAX);
}

bool large__rises(struct large *l, uint64_t now_ns)
{
	if (l->gained >= l->highest + RISE_MIN_BYTES) {
		l->highest = l->gained;
		l->rose_ns = now_ns;
	}
	return l->gained >= GAIN_MIN_BYTES && now_ns - l->rose_ns <= RISE_MOST_NS;
}

bool large__is_explained(const struct large *l)
{
	return l->sampled + l->certain > EXPLAINED_SHARE * l->gained;
}

bool large__is_known(const struct large *l)
{
	return l->sampled + l->certain > KNOWN_SHARE * l->gained;
}
