// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "commands.h"
#include "host.h"
#include "options.h"
#include "session.h"

int cmd_run(const struct options *o)
{
	int err = host__check();
	struct session *s = err ? NULL : session__new(o);

	err = err ?: s ? session__launch(s, o->argv) : EXIT_INTERNAL;
	err = err ?: session__run(s);
	session__free(s);
	return err;
}
