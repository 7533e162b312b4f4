/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line. One table of options makes parsing and help. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "growth.h"
#include "shared.h"

enum exit_code {
	EXIT_FINE = 0,
	EXIT_GATE = 1,
	EXIT_USAGE = 2,
	EXIT_UNSUPPORTED = 3,
	EXIT_TARGET = 4,
	EXIT_INCOMPLETE = 5,
	EXIT_INTERNAL = 6,
};

enum command { CMD_TRACE, CMD_RUN, CMD_DOCTOR };

struct options {
	enum command command;
	pid_t *pids; /* owned */
	size_t pids_cnt;
	char **argv; /* run: CMD and its arguments, borrowed */
	double interval_s, duration_s; /* duration 0: until stopped */
	uint32_t top, depth, max_blocks;
	double min_age_s;
	enum growth_group group;
	bool read_only, json, json_schema;
	const char *output; /* run: where the report goes, NULL: stderr */
	int verbose;
};

/* 0, or exits with EXIT_USAGE after saying why (or with EXIT_FINE after --help, --version). */
void options__parse(int argc, char **argv, struct options *out);
void options__free(struct options *o);

#endif
