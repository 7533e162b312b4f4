/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who keeps objects alive, as it is shown. Plain data, filled by the cli; all text is raw, the writers clean or escape it. */
#ifndef REFS_VIEW_H
#define REFS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "census_view.h"

struct table_opts;
struct text;

struct refs_view_part {
	const char *text; /* "app.REGISTRY[*]", ".user" */
	const char *type; /* of what it leads to; NULL: unknown */
};

struct refs_view_chain {
	const char *kind; /* "module", "class", "frame", "interpreter", "library", "c-memory", "c-reference", "garbage" */
	const char *root; /* NULL: none */
	int line;         /* "frame": 0: unknown */
	uint64_t objects, bytes;
	const struct refs_view_part *parts;
	size_t parts_cnt;
	bool cut;         /* parts are missing before the last one */
	uint64_t example; /* address of an object */
	bool counts_known;
	uint64_t found, refcnt; /* of that one */
	int64_t unexplained;    /* references of each object, on average */
};

struct refs_view_referrer {
	const char *text, *type; /* TYPE NULL: unknown */
	uint64_t cnt;
};

struct refs_view {
	uint64_t time_unix_ns;
	pid_t pid;
	const char *comm, *python; /* NULL: unknown */
	const char *type;          /* NULL: unknown */
	uint64_t objects;          /* that were asked for */
	enum census_grade grade;
	bool ran_known;
	uint64_t torn;
	double reading_s;
	double frozen_s; /* how long the process was held still meanwhile; negative: it was not */
	const char *freeze_error; /* why not, as was wanted; else NULL */
	const char *coverage_note; /* NULL: all is seen */
	const struct refs_view_chain *chains;
	size_t chains_cnt;
	const struct refs_view_referrer *referrers;
	size_t referrers_cnt;
};

/* One JSON object and a newline per chain, as INTERFACE.md has it. */
void refs_view__json(const struct refs_view *v, struct text *out);
void refs_view__json_schema(struct text *out);
/* For people. As table__print(). */
void refs_view__table(const struct refs_view *v, const struct table_opts *opts, struct text *out);
/* A graph in the DOT language (graphviz): from the roots down to the objects. */
void refs_view__dot(const struct refs_view *v, struct text *out);

#endif
