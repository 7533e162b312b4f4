// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "forecasts.h"

#include "target.h"

static bool share(const struct target *a, const struct target *b)
{
	return a->limit.owner && a->limit.owner == b->limit.owner && a->limit.kind == b->limit.kind;
}

void forecasts__make(struct target *const *list, size_t cnt, struct snapshot_process *procs)
{
	for (size_t i = 0; i < cnt; i++) {
		struct snapshot_process *p = &procs[i];
		struct slope sum = p->rss_slope;

		if (!p->limit_kind)
			continue;
		p->limit_shared_by = 1;
		for (size_t j = 0; j < cnt; j++) {
			if (j == i || !procs[j].limit_kind || !share(list[i], list[j]))
				continue;
			p->limit_shared_by++;
			if (sum.trend == TREND_GROWING)
				sum = slope__sum(&sum, &procs[j].rss_slope);
		}
		p->forecast = forecast__of(&sum, list[i]->limit.headroom_bytes, list[i]->start_headroom_bytes);
	}
}
