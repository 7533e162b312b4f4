// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "commands.h"
#include "options.h"

int cmd_doctor(const struct options *o)
{
	(void)o;
	return EXIT_UNSUPPORTED;
}
