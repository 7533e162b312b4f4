// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <bpf/libbpf.h>

#include "libbpf_env.h"
#include "log.h"

static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char *text, *rest, *line;

	if (log__level() < LOG_DEBUG && (level != LIBBPF_WARN || log__level() < LOG_INFO))
		return 0;
	if (vasprintf(&text, fmt, args) < 0)
		return 0;
	rest = text; /* the verifier's log is one text of many lines */
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_debug("%s", line);
	free(text);
	return 0;
}

void libbpf_env__set(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	libbpf_set_print(print);
	/* Needed before 5.11 only (commit d5299b67dd59), and not permitted everywhere: a failed load will tell. */
	setrlimit(RLIMIT_MEMLOCK, &all);
}
