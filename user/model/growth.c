// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "growth.h"
#include "map.h"
#include "rank.h"
#include "row.h"
#include "stacks.h"

/* Ticks without anything outstanding after which a row and its history are forgotten. */
#define MIN_GAIN_BYTES 512 /* less may be the interpreter itself: warming, until it is more */
#define MIN_GAIN_BUFFERS 8192 /* of memory that is no object: likewise; dead frames in a free list are such (to 3.10) */
#define PAUSE_OBJECTS 64
#define PAUSE_SHARE 0.1 /* of the mean gain of an interval */
#define SURE_TIMES 2 /* of the squared error of an estimate */
#define STEPS_NS 10000000000ULL /* from one lookout to the next one, and until what was recorded is looked at */
#define FORGET_TICKS 128
#define REPLACED_SHARE 0.5 /* of the time since the rise began */
#define REPLACED_MIN_OBJECTS 8
#define REPLACED_MIN_BUFFERS 64

struct process {
	uint64_t peak_at_attach_bytes;
	uint64_t highest_rss_bytes;
	uint32_t last_tick;
};

struct growth {
	struct growth_opts opts;
	struct map rows;      /* struct row_key -> struct row */
	struct map processes; /* uint32_t -> struct process */
	uint64_t now_ns, before_ns;
	uint64_t interval_start_ns;
	uint32_t tick, interval; /* from 1 */
	uint32_t intervals_seen;
	bool interval_ended;
	bool finished;
};

struct growth *growth__new(const struct growth_opts *opts)
{
	struct growth *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->opts = *opts;
	g->interval = 1;
	map__init(&g->rows, sizeof(struct row_key), sizeof(struct row));
	map__init(&g->processes, sizeof(uint32_t), sizeof(struct process));
	return g;
}

void growth__free(struct growth *g)
{
	const void *key;
	void *row;

	if (!g)
		return;
	for (size_t i = 0; map__next(&g->rows, &i, &key, &row);)
		row__free(row);
	map__free(&g->rows);
	map__free(&g->processes);
	free(g);
}

void growth__begin(struct growth *g, uint64_t now_ns)
{
	const void *key;
	void *row;

	g->before_ns = g->now_ns;
	g->now_ns = now_ns;
	g->tick++;
	if (g->tick == 1)
		g->interval_start_ns = now_ns;
	for (size_t i = 0; map__next(&g->rows, &i, &key, &row);)
		row__begin(row, g->interval_ended);
	if (g->interval_ended) {
		g->interval_start_ns = g->before_ns;
		g->interval++;
	}
	g->interval_ended = false;
}

int growth__process(struct growth *g, uint32_t proc, uint64_t rss_bytes, uint64_t peak_rss_at_attach_bytes)
{
	struct process *p = map__put(&g->processes, &proc, NULL);

	if (!p)
		return -ENOMEM;
	p->peak_at_attach_bytes = peak_rss_at_attach_bytes;
	if (rss_bytes > p->highest_rss_bytes)
		p->highest_rss_bytes = rss_bytes;
	p->last_tick = g->tick;
	return 0;
}

static struct row_key growth__key(const struct growth *g, const struct sample *s)
{
	struct row_key key = {.proc = s->proc};
	const struct frame *frames;
	size_t cnt, at = 0;

	switch (g->opts.group) {
	case GROUP_STACK:
		key.a = s->stack;
		key.b = s->type;
		return key;
	case GROUP_TYPE:
		key.b = s->type;
		return key;
	case GROUP_CONTAINER:
		return (struct row_key){.a = s->container};
	case GROUP_BINARY:
		return (struct row_key){.a = s->binary};
	case GROUP_APP:
		at = stacks__app_frame(g->opts.stacks, s->stack);
		break;
	case GROUP_LINE:
	case GROUP_FUNCTION:
		break;
	default:
		return key;
	}
	frames = stacks__get(g->opts.stacks, s->stack, &cnt);
	if (at >= cnt)
		return key;
	key.a = frames[at].file;
	key.b = g->opts.group == GROUP_FUNCTION ? frames[at].function : frames[at].line;
	return key;
}

int growth__add(struct growth *g, const struct sample *s)
{
	struct row_key key = growth__key(g, s);
	bool existed;
	struct row *row = map__put(&g->rows, &key, &existed);

	if (!row)
		return -ENOMEM;
	/* one that comes later has been zero so far; the first tick has no before */
	if (!existed && g->tick > 1 && row__push(row, point__of(g->before_ns, g->interval, 0)))
		return -ENOMEM;
	row__add(row, s);
	return 0;
}

static void growth__forget_processes(struct growth *g)
{
	const void *key;
	void *value;

	for (size_t i = 0; map__next(&g->processes, &i, &key, &value);) {
		const struct process *p = value;

		if (g->tick - p->last_tick > FORGET_TICKS)
			map__del(&g->processes, key);
	}
}

int growth__end(struct growth *g, bool is_interval_end)
{
	const void *key;
	void *value;
	int err = 0;

	for (size_t i = 0; map__next(&g->rows, &i, &key, &value);) {
		struct row *row = value;

		row->idle_ticks = row->now.parts ? 0 : row->idle_ticks + 1;
		if (row->idle_ticks > FORGET_TICKS) {
			row__free(row);
			map__del(&g->rows, key);
			continue;
		}
		if (row__push(row, point__of(g->now_ns, g->interval, row->now.bytes)))
			err = -ENOMEM;
	}
	growth__forget_processes(g);
	g->interval_ended = is_interval_end;
	g->intervals_seen += is_interval_end;
	return err;
}

void growth__finish(struct growth *g)
{
	g->finished = true;
}

static bool growth__been_here(const struct growth *g, uint32_t proc)
{
	const struct process *p = map__get(&g->processes, &proc);

	return p && p->peak_at_attach_bytes && p->highest_rss_bytes <= p->peak_at_attach_bytes;
}

/*
 * What it has gained in this interval; of what is estimated, and has not lost anything meanwhile, in the last seconds at least: between steps nothing is
 * known of what came.
 */
static double growth__lately(const struct growth *g, const struct row *row)
{
	int64_t from = row->interval_bytes;
	uint32_t i = row->points_cnt;

	while (row->now.estimated && i > 1 && row->points[i - 1].time_ns + STEPS_NS > g->now_ns && row->points[i - 2].last <= row->points[i - 1].last)
		i--;
	return (double)(row->now.bytes - (row->points[i - 1].last < from ? row->points[i - 1].last : from));
}

/*
 * A leak of many objects has gained something in every interval. (One of few objects may pause; and between two reports the
 * interval has only begun.)
 */
static bool growth__paused(const struct growth *g, const struct row *row)
{
	const struct point *first = &row->points[0], *last = &row->points[row->points_cnt - 1];
	uint32_t intervals = last->interval - first->interval + 1;

	return g->now_ns - g->interval_start_ns > (g->now_ns - first->time_ns) / (intervals + 1) && row->now.objects >= PAUSE_OBJECTS &&
	       growth__lately(g, row) < PAUSE_SHARE * row->gain / intervals;
}

/* Dead objects in a free list that fills with what this line made first look like a leak, until they are more than it holds. */
static bool growth__may_be_recycled(const struct growth *g, const struct row *row)
{
	bool has_place = g->opts.group == GROUP_STACK || g->opts.group == GROUP_LINE || g->opts.group == GROUP_FUNCTION ||
			 g->opts.group == GROUP_APP;

	return has_place && row->now.recyclable && row->now.objects <= row->now.recyclable;
}

/* What the collector has not come to grows until it does. */
static bool growth__is_garbage(const struct row *row)
{
	return row->now.garbage * 2 > row->now.objects;
}

/*
 * What is leaked stays: the oldest is as old as the leak. Where nothing is left from the first half of the rise, what came has been replaced, as sessions
 * are that expire. Not asked of few buffers, as one that grows moves, and then may count as new.
 */
static bool growth__is_replaced(const struct growth *g, const struct row *row)
{
	uint64_t begin_ns = row->points[points__onset(row->points, row->points_cnt)].time_ns;

	if (row->now.objects < (row->now.is_buffer ? REPLACED_MIN_BUFFERS : REPLACED_MIN_OBJECTS) || row->now.oldest_ns <= begin_ns)
		return false;
	return row->now.oldest_ns - begin_ns > (g->now_ns - begin_ns) * REPLACED_SHARE;
}

/* That it has stopped would not be known yet, or it may be chance. */
static bool growth__is_unsure(const struct growth *g, const struct row *row)
{
	return row->now.estimated && (g->now_ns - row->points[0].time_ns < 2 * STEPS_NS || row->gain * row->gain < SURE_TIMES * row->now.error_squares);
}

/* What the interpreter keeps for itself. */
static bool growth__is_small(const struct row *row)
{
	return row->gain < (row->now.is_buffer ? MIN_GAIN_BUFFERS : MIN_GAIN_BYTES);
}

static uint32_t growth__missing(const struct growth *g)
{
	return g->intervals_seen < VERDICT_MIN_INTERVALS ? VERDICT_MIN_INTERVALS - g->intervals_seen : 0;
}

static void growth__judge(const struct growth *g, struct row *row)
{
	struct evidence e = {
		.points = row->points,
		.cnt = row->points_cnt,
		.been_here = growth__been_here(g, row->now.proc),
	};

	if (row->judged_tick == g->tick)
		return;
	row->judged_tick = g->tick;
	row->verdict = verdict__of(&e);
	row->gain = g->finished && growth__missing(g) ? (double)row->now.bytes : points__gain(row->points, row->points_cnt);
	if (row->verdict == VERDICT_GROWING && (growth__may_be_recycled(g, row) || growth__is_garbage(row)))
		row->verdict = VERDICT_UNKNOWN;
	if (row->verdict == VERDICT_GROWING && (growth__is_small(row) || growth__is_unsure(g, row) || growth__paused(g, row) || growth__is_replaced(g, row)))
		row->verdict = VERDICT_WARMING;
}

static void growth__view(const struct growth *g, const struct rank_item *item, struct growth_row *out)
{
	const struct row *row = item->row;
	const struct tick_sum *now = &row->now;
	double seconds = (double)(g->now_ns - g->interval_start_ns) / 1e9;

	*out = (struct growth_row){
		.proc = now->proc, .container = now->container, .stack = now->stack, .type = now->type,
		.parts = now->parts, .bytes = now->bytes, .objects = now->objects,
		.delta_bytes = now->bytes - row->interval_bytes,
		.delta_objects = now->objects - row->interval_objects,
		.bytes_error = sqrt(now->error_squares),
		.gain_bytes = item->gain,
		.oldest_s = now->oldest_ns && now->oldest_ns <= g->now_ns ? (double)(g->now_ns - now->oldest_ns) / 1e9 : -1,
		.survived_full_gcs = now->survived_full_gcs,
		.survivors = now->survivors,
		.type_is_buffer = now->is_buffer,
		.verdict = item->verdict,
	};
	if (row->points_cnt >= VERDICT_MIN_TICKS)
		out->bytes_per_s = points__slope(row->points, row->points_cnt);
	else if (seconds > 0)
		out->bytes_per_s = (double)out->delta_bytes / seconds;
}

/* Rows with something outstanding, judged; NULL with *CNT 0 when there are none or memory is out. */
static struct rank_item *growth__items(struct growth *g, size_t *cnt)
{
	struct rank_item *items = calloc(g->rows.cnt ? g->rows.cnt : 1, sizeof(*items));
	const void *key;
	void *value;

	*cnt = 0;
	if (!items)
		return NULL;
	for (size_t i = 0; map__next(&g->rows, &i, &key, &value);) {
		struct row *row = value;

		if (!row->now.parts || (!row->now.bytes && !row->now.objects))
			continue;
		growth__judge(g, row);
		items[(*cnt)++] = (struct rank_item){.row = row, .verdict = row->verdict, .gain = row->gain};
	}
	return items;
}

size_t growth__top(struct growth *g, size_t n, struct growth_row *rows)
{
	size_t cnt;
	struct rank_item *items = growth__items(g, &cnt);

	if (!items)
		return 0;
	rank__sort(items, cnt, &g->opts);
	for (size_t i = 0; i < cnt && i < n; i++) {
		growth__view(g, &items[i], &rows[i]);
		rows[i].rank = (uint32_t)i + 1;
	}
	free(items);
	return cnt < n ? cnt : n;
}

void growth__totals(struct growth *g, struct growth_totals *out)
{
	size_t cnt;
	struct rank_item *items = growth__items(g, &cnt);

	memset(out, 0, sizeof(*out));
	out->rows = (uint32_t)cnt;
	for (size_t i = 0; i < cnt; i++)
		out->verdicts[items[i].verdict]++;
	out->intervals_seen = g->intervals_seen;
	out->intervals_missing = growth__missing(g);
	free(items);
}

static const char *const group_names[GROUP_CNT] = {
	[GROUP_STACK] = "stack", [GROUP_LINE] = "line",       [GROUP_FUNCTION] = "function",   [GROUP_TYPE] = "type",
	[GROUP_APP] = "app",     [GROUP_PROCESS] = "process", [GROUP_CONTAINER] = "container", [GROUP_BINARY] = "binary",
};

const char *growth_group__name(enum growth_group group)
{
	return group_names[group];
}

int growth_group__parse(const char *name, enum growth_group *group)
{
	for (int i = 0; i < GROUP_CNT; i++) {
		if (!strcmp(name, group_names[i])) {
			*group = (enum growth_group)i;
			return 0;
		}
	}
	return -EINVAL;
}
