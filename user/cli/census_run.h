/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A run of the census command: its processes, and how they are read and shown. */
#ifndef CENSUS_RUN_H
#define CENSUS_RUN_H

#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "census.h"
#include "census_mark.h"
#include "heap_target.h"
#include "map.h"

/* Of a type in the readings before. */
struct past {
	int64_t objects, bytes, owned_bytes;
	int64_t first_objects, first_owned_bytes;
	int64_t new_objects;
};

/* What a reading says of what is new. */
struct census_news {
	uint64_t mark_ns;  /* when the mark was done */
	uint64_t since_ns; /* what is told has been there since that moment; 0: nobody asks */
	uint64_t full_gcs; /* since the mark */
};

/* One process. */
struct subject {
	struct heap_target target;
	struct census *census;
	struct growth *growth;
	struct map past; /* id of the type's name -> struct past */
	uint64_t begin_ns, end_ns;  /* of the last reading */
	uint64_t first_ns, last_ns; /* when the first and the last one that was shown began */
	uint32_t readings; /* that were shown */
	bool ended;
	struct census_mark mark; /* --new-since */
	struct census_news news;
};

struct run {
	const struct options *o;
	struct subject *subjects;
	size_t subject_cnt;
	struct intern *strings;
	struct stacks *stacks;
	struct freezer *freezer; /* NULL: not wanted */
	struct census_options census_options; /* of all of them */
	regex_t filter;
	bool has_filter;
	sigset_t signals;
	int code;
};

/* One reading, which is not shown. What is wrong is said. EXIT_FINE with s->ended: it has ended, after readings that were shown. */
int census_run__take(struct run *r, struct subject *s);
/* The last one. */
int census_run__show(struct run *r, struct subject *s);
/* false: a signal came. */
bool census_run__wait(const struct run *r, uint64_t until_ns);

/* census_new.c: --new-since: a mark, then what is new, once or again and again. */
int census_run__new(struct run *r);

#endif
