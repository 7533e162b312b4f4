// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "growth.h"
#include "row.h"

void row__begin(struct row *row, bool interval_ended)
{
	if (interval_ended) {
		row->interval_bytes = row->now.bytes;
		row->interval_objects = row->now.objects;
	}
	/* an idle row keeps its names */
	row->now = (struct tick_sum){
		.proc = row->now.proc, .container = row->now.container, .stack = row->now.stack, .type = row->now.type,
		.is_buffer = row->now.is_buffer,
	};
}

static bool sample__leads(const struct sample *s, const struct tick_sum *now)
{
	if (!now->parts || s->type_is_buffer != now->is_buffer)
		return !now->parts || now->is_buffer;
	if (s->bytes != now->biggest_bytes)
		return s->bytes > now->biggest_bytes;
	/* the order of samples must not decide */
	return s->stack != now->stack ? s->stack < now->stack : s->type < now->type;
}

void row__add(struct row *row, const struct sample *s)
{
	struct tick_sum *now = &row->now;

	if (sample__leads(s, now)) {
		now->proc = s->proc;
		now->container = s->container;
		now->stack = s->stack;
		now->type = s->type;
		now->is_buffer = s->type_is_buffer;
		now->biggest_bytes = s->bytes;
	}
	now->parts++;
	now->bytes += s->bytes;
	now->objects += s->objects;
	now->error_squares += s->bytes_error * s->bytes_error;
	now->estimated |= s->estimated;
	now->survivors += s->survivors;
	now->garbage += s->garbage;
	now->recyclable += s->objects < s->recycled_max ? s->objects : s->recycled_max;
	if (s->oldest_ns && (!now->oldest_ns || s->oldest_ns < now->oldest_ns))
		now->oldest_ns = s->oldest_ns;
	if (s->survived_full_gcs > now->survived_full_gcs)
		now->survived_full_gcs = s->survived_full_gcs;
}

int row__push(struct row *row, struct point p)
{
	uint32_t capacity = row->points_capacity ? row->points_capacity * 2 : 8;
	struct point *points;

	if (row->points_cnt == POINTS_MAX)
		row->points_cnt = (uint32_t)points__thin(row->points, row->points_cnt);
	if (row->points_cnt == row->points_capacity) {
		points = realloc(row->points, capacity * sizeof(*points));
		if (!points)
			return -ENOMEM;
		row->points = points;
		row->points_capacity = capacity;
	}
	row->points[row->points_cnt++] = p;
	return 0;
}

void row__free(struct row *row)
{
	free(row->points);
	memset(row, 0, sizeof(*row));
}
