/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One row of growth.c: what is outstanding now, and its history. */
#ifndef ROW_H
#define ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verdict.h"

struct sample;

struct row_key {
	uint32_t proc, a, b; /* by group: stack and type, file and line, ... */
};

/* The samples of one tick. */
struct tick_sum {
	int64_t bytes, objects;
	double error_squares;
	bool estimated;
	uint64_t oldest_ns;
	int64_t survivors;
	int64_t garbage;
	int64_t recyclable; /* of the objects, at most */
	uint32_t survived_full_gcs;
	uint32_t parts;
	/* of the biggest part, objects before buffers */
	uint32_t proc, container, stack, type;
	bool is_buffer;
	int64_t biggest_bytes;
};

struct row {
	struct tick_sum now;
	int64_t interval_bytes, interval_objects; /* at the end of the interval before */
	struct point *points;
	uint32_t points_cnt, points_capacity;
	uint32_t idle_ticks;
	/* of the last tick at which someone asked; judging is the expensive part */
	uint32_t judged_tick;
	enum verdict verdict;
	double gain;
};

/* A new tick; what there was becomes the interval's value if an interval has ended. */
void row__begin(struct row *row, bool interval_ended);
void row__add(struct row *row, const struct sample *s);
int row__push(struct row *row, struct point p); /* 0 or -ENOMEM: the point is lost */
void row__free(struct row *row);

#endif
