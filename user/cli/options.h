/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line. One table of options makes parsing and help. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "growth.h"
#include "proc_select.h"
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

enum command { CMD_TRACE, CMD_RUN, CMD_CENSUS, CMD_REFS, CMD_DOCTOR };

struct options {
	enum command command;
	pid_t *pids; /* owned */
	size_t pids_cnt;
	char **argv; /* run: CMD and its arguments, borrowed */
	double interval_s, duration_s; /* duration 0: until stopped */
	const char *mode;
	double budget_pct, max_pause_s; /* budget_pct 0: exact mode */
	uint32_t top, depth, max_blocks; /* top 0: all */
	double min_age_s;
	enum growth_group group;
	bool all, children;
	struct selector select; /* with all */
	bool read_only, json, json_schema;
	const char *output; /* run: where the report goes, NULL: stderr */
	int verbose;
	bool freeze;         /* census: hold the process still while it is read */
	double sample;       /* census: the fraction of the heap to read, 0: all */
	double new_since_s;  /* census: what is new since a mark made so long before; 0: no mark */
	double survived_s;   /* census: leave out what has not been there so long */
	uint32_t survived_gcs; /* all commands that show rows: leave out what has survived fewer full collections */
	double every_s;      /* census: between two readings, 0: one is enough */
	uint32_t floor;      /* census: types with fewer objects are left out */
	const char *type;    /* refs: NULL: by ADDR, or those that leak */
	uint64_t addr;       /* refs: of one object */
	bool leaked, show_values, dot, svg; /* refs */
	uint64_t max_memory_bytes;          /* refs: 0: what is free */
	const char *filter;  /* census: a valid extended regular expression, NULL: all types */
	const char *core;    /* census: a core file instead of processes; NULL: processes */
};

/* 0, or exits with EXIT_USAGE after saying why (or with EXIT_FINE after --help, --version). */
void options__parse(int argc, char **argv, struct options *out);
/* Are processes traced that are not known yet? Then the probes are active in all that run the same binary. */
bool options__follow(const struct options *o);
void options__free(struct options *o);

#endif
