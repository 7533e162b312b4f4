// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "snapshot.h"

const struct snapshot_process *snapshot__process(const struct snapshot *s, uint32_t proc)
{
	for (size_t i = 0; i < s->processes_cnt; i++)
		if (s->processes[i].proc == proc)
			return &s->processes[i];
	return NULL;
}
