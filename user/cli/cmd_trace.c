// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "commands.h"
#include "host.h"
#include "options.h"
#include "session.h"

int cmd_trace(const struct options *o)
{
	int err = host__check();
	struct session *s = err ? NULL : session__new(o);

	err = err ?: s ? 0 : EXIT_INTERNAL;
	for (size_t i = 0; i < o->pids_cnt && !err; i++)
		err = session__add(s, o->pids[i], false);
	if (!err && (o->all || o->children))
		err = session__discover(s);
	err = err ?: session__run(s);
	session__free(s);
	return err;
}
