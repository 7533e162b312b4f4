// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "text.h"

static enum log_level current_level = LOG_WARN;

void log__set_level(enum log_level level)
{
	current_level = level;
}

enum log_level log__level(void)
{
	return current_level;
}

void log__print(enum log_level level, const char *fmt, ...)
{
	char raw[2048], clean[4096];
	int saved = errno;
	va_list ap;
	int len;

	if (level > current_level)
		return;
	va_start(ap, fmt);
	len = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(raw))
		len = sizeof(raw) - 1;
	/* libbpf's messages bring their own newline */
	while (len > 0 && raw[len - 1] == '\n')
		len--;
	text__clean(clean, sizeof(clean), raw, (size_t)len);
	if (level == LOG_DEBUG) /* when: to lay beside what others say */
		fprintf(stderr, "pyleak-bpf: %.6f: %s\n", clock__now_ns() / 1e9, clean);
	else
		fprintf(stderr, "pyleak-bpf: %s\n", clean);
	errno = saved;
}
