/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One sentence that says why an interpreter cannot be traced. */
#ifndef REASON_H
#define REASON_H

#include <stddef.h>

struct reason {
	char *text;
	size_t size;
};

/* Returns ERR, so that a refusal is one line. */
int reason__set(const struct reason *why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
