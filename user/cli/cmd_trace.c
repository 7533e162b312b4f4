// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "commands.h"
#include "options.h"
#include "session.h"

int cmd_trace(const struct options *o)
{
	struct session *s = session__new(o);
	int err = s ? 0 : EXIT_INTERNAL;

	for (size_t i = 0; i < o->pids_cnt && !err; i++)
		err = session__add(s, o->pids[i], false);
	err = err ?: session__run(s);
	session__free(s);
	return err;
}
