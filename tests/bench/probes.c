// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * probes PID same|entry: programs that do nothing, where pyleak-bpf has its own or at the functions' first instructions.
 * probes PID rounds N: attaches and detaches pyleak-bpf's own N times.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python.h"
#include "tracer.h"

int main(int argc, char **argv)
{
	struct tracer_opts opts = { .depth = 64, .max_blocks = 1024, .procs_max = 1, .probes = TRACER_NOTHING };
	struct tracers *all;
	struct py_interp py;
	struct tracer *t;
	char why[512] = "";
	sigset_t set;
	int sig;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[2], "rounds"))
		opts.probes = TRACER_FULL;
	if (!strcmp(argv[2], "entry"))
		opts.probes = TRACER_NOTHING_AT_ENTRY;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	all = tracers__new(&opts);
	if (!all || py_interp__open(&py, atoi(argv[1]), why, sizeof(why)) || tracer__open(all, &py, &t, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	for (int i = argc > 3 ? atoi(argv[3]) : 0; i > 0; i--) {
		if (tracer__attach(t, why, sizeof(why))) {
			fprintf(stderr, "%d rounds to go: %s\n", i, why);
			return 1;
		}
		tracer__detach(t);
	}
	if (argc > 3)
		goto out;
	if (tracer__attach(t, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	fprintf(stderr, "tracing with %u probes that do nothing\n", engine__probe_cnt(tracer__engine(t)));
	sigwait(&set, &sig);
out:
	tracer__free(t);
	tracers__free(all);
	py_interp__close(&py);
	return 0;
}
