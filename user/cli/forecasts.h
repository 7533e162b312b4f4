/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When memory ends, for all traced processes at once: those in the same cgroup use up the same limit. */
#ifndef FORECASTS_H
#define FORECASTS_H

#include <stddef.h>

struct snapshot_process;
struct target;

/* Completes PROCS, which target__describe() has filled from the same LIST. */
void forecasts__make(struct target *const *list, size_t cnt, struct snapshot_process *procs);

#endif
