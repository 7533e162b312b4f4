// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>

int reason__set(const struct reason *why, int err, const char *fmt, ...)
{
	va_list args;

	if (why->size) {
		va_start(args, fmt);
		vsnprintf(why->text, why->size, fmt, args);
		va_end(args);
	}
	return err;
}
