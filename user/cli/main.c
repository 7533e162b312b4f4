// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "census_view.h"
#include "commands.h"
#include "libbpf_env.h"
#include "log.h"
#include "options.h"
#include "refs_view.h"
#include "sigbus.h"
#include "snapshot.h"
#include "text.h"

static int print_schema(const struct options *o)
{
	struct text text = {};
	int err;

	if (o->command == CMD_CENSUS)
		census_view__json_schema(&text);
	else if (o->command == CMD_REFS)
		refs_view__json_schema(&text);
	else
		snapshot__json_schema(&text);
	err = text.failed || fwrite(text.s, 1, text.len, stdout) != text.len || fflush(stdout);
	text__free(&text);
	return err ? EXIT_INCOMPLETE : EXIT_FINE;
}

/* A report must never go into a descriptor that happens to have the number of a closed standard one. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY); /* writing to it fails, as it should */
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	static int (*const commands[])(const struct options *) = {
		[CMD_TRACE] = cmd_trace,
		[CMD_RUN] = cmd_run,
		[CMD_CENSUS] = cmd_census,
		[CMD_REFS] = cmd_refs,
		[CMD_DOCTOR] = cmd_doctor,
	};
	struct options o;
	int code;

	fill_standard_fds();
	sigbus__survive();
	options__parse(argc, argv, &o);
	log__set_level(o.verbose > 1 ? LOG_DEBUG : o.verbose ? LOG_INFO : LOG_WARN);
	libbpf_env__set();
	code = o.json_schema ? print_schema(&o) : commands[o.command](&o);
	options__free(&o);
	return code;
}
