/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When memory ends, below the line of a process. */
#ifndef TABLE_FORECAST_H
#define TABLE_FORECAST_H

#include <stdbool.h>

struct lines;
struct snapshot;
struct snapshot_process;

/* Nothing for a process that does not grow, unless VERBOSE. */
void table_forecast__print(struct lines *l, const struct snapshot_process *p, bool verbose);
/* Of many processes, the one that reaches its limit first; nothing if none does. */
void table_forecast__soonest(struct lines *l, const struct snapshot *s);

#endif
