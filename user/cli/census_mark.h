/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When the heap of a process was looked at, and how many full collections there had been: which of these looks says what has survived so much. */
#ifndef CENSUS_MARK_H
#define CENSUS_MARK_H

#include <stddef.h>
#include <stdint.h>

struct census_look {
	uint32_t reading; /* its number */
	uint64_t end_ns;
	uint64_t full_gcs; /* until then */
};

struct census_mark {
	struct census_look *looks; /* owned; the first is the mark itself */
	size_t cnt, capacity;
};

void census_mark__free(struct census_mark *m);
/* 0 or -ENOMEM. */
int census_mark__add(struct census_mark *m, const struct census_look *look);
/*
 * The last look that was done by END_NS, when there had been no more than FULL_GCS full collections; the mark, if there is no other. Looks between the mark
 * and that one are forgotten: neither time nor collections run backwards. NULL: there is no mark.
 */
const struct census_look *census_mark__last(struct census_mark *m, uint64_t end_ns, uint64_t full_gcs);

#endif
