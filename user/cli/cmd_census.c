// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The heap by type, once or again and again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "census_run.h"
#include "census_view.h"
#include "clock.h"
#include "commands.h"
#include "growth.h"
#include "intern.h"
#include "log.h"
#include "options.h"
#include "output.h"
#include "stacks.h"
#include "table.h"
#include "text.h"

static void close_subject(struct subject *s)
{
	census__free(s->census);
	s->census = NULL;
	growth__free(s->growth);
	s->growth = NULL;
	map__free(&s->past);
	census_mark__free(&s->mark);
	heap_target__close(&s->target);
}

static int open_subject(struct run *r, struct subject *s, pid_t pid)
{
	const struct growth_opts gopts = { .group = GROUP_TYPE, .strings = r->strings, .stacks = r->stacks };
	int code = heap_target__open(&s->target, pid, r->o->core);

	map__init(&s->past, sizeof(uint32_t), sizeof(struct past));
	if (code)
		return code;
	s->census = census__new(&s->target.py);
	s->growth = growth__new(&gopts);
	if (!s->census || !s->growth) {
		log_error("out of memory");
		return EXIT_INTERNAL;
	}
	census__set_options(s->census, &r->census_options);
	return EXIT_FINE;
}

static void compare(struct run *r, struct subject *s, const struct census_row *row, struct census_type_row *out, uint32_t *id)
{
	struct past *past = NULL;
	bool existed = false;

	*out = (struct census_type_row){
		.type = row->type, .objects = row->objects, .tracked = row->tracked, .bytes = row->bytes, .owned_bytes = row->owned_bytes,
		.largest_bytes = row->largest_bytes, .objects_error = row->objects_error, .bytes_error = row->bytes_error,
		.owned_bytes_error = row->owned_bytes_error, .new_known = r->o->new_since_s && !row->is_buffer, .new_objects = row->new_objects,
		.new_bytes = row->new_bytes, .new_owned_bytes = row->new_owned_bytes, .uncollectable = row->uncollectable, .verdict = VERDICT_UNKNOWN,
	};
	*id = 0;
	if (!r->o->every_s || !row->type || intern__string(r->strings, row->type, id))
		return;
	past = map__put(&s->past, id, &existed);
	if (!past)
		return;
	if (!existed && s->readings == 1) {
		past->first_objects = row->objects;
		past->first_owned_bytes = row->owned_bytes;
	}
	out->delta_known = s->readings > 1;
	out->delta_objects = row->objects - past->objects;
	out->delta_bytes = row->bytes - past->bytes;
	out->delta_owned_bytes = row->owned_bytes - past->owned_bytes;
	out->gained_objects = row->objects - past->first_objects;
	out->gained_bytes = row->owned_bytes - past->first_owned_bytes;
	out->delta_new_objects = row->new_objects - past->new_objects;
	past->new_objects = row->new_objects;
	past->objects = row->objects;
	past->bytes = row->bytes;
	past->owned_bytes = row->owned_bytes;
}

/* Types without an instance in this reading had none: their next one is new. */
static void forget_absent(struct subject *s, const uint32_t *ids, size_t cnt)
{
	struct map there;
	const void *key;
	void *value;

	map__init(&there, sizeof(uint32_t), 1);
	for (size_t i = 0; i < cnt; i++)
		map__put(&there, &ids[i], NULL);
	for (size_t i = 0; map__next(&s->past, &i, &key, &value);) {
		struct past *past = value;

		if (!map__get(&there, key))
			past->new_objects = past->objects = past->bytes = past->owned_bytes = 0;
	}
	map__free(&there);
}

/* Rates and verdicts, from all readings. */
static int judge(struct run *r, struct subject *s, struct census_type_row *rows, const uint32_t *ids, size_t cnt, uint64_t rss_bytes)
{
	struct growth_row *found = calloc(intern__cnt(r->strings), sizeof(*found));
	struct map by_type;
	size_t found_cnt;
	int err = found ? 0 : -ENOMEM;

	growth__begin(s->growth, s->last_ns);
	if (!err)
		err = growth__process(s->growth, s->target.proc.pid, rss_bytes, 0);
	for (size_t i = 0; i < cnt && !err; i++)
		if (ids[i])
			err = growth__add(s->growth, &(struct sample){ .proc = s->target.proc.pid, .type = ids[i], .bytes = rows[i].owned_bytes, .objects = rows[i].objects });
	growth__end(s->growth, true);
	map__init(&by_type, sizeof(uint32_t), sizeof(uint32_t));
	found_cnt = err ? 0 : growth__top(s->growth, intern__cnt(r->strings), found);
	for (uint32_t i = 0; i < found_cnt; i++) {
		uint32_t *which = map__put(&by_type, &found[i].type, NULL);

		if (which)
			*which = i;
	}
	for (size_t i = 0; i < cnt; i++) {
		const uint32_t *which = map__get(&by_type, &ids[i]);

		if (!which || !ids[i])
			continue;
		rows[i].bytes_per_s = found[*which].bytes_per_s;
		rows[i].verdict = found[*which].verdict;
	}
	map__free(&by_type);
	free(found);
	return err;
}

static int by_gain(const void *a, const void *b)
{
	const struct census_type_row *x = a, *y = b;

	if (x->gained_bytes != y->gained_bytes)
		return x->gained_bytes < y->gained_bytes ? 1 : -1;
	return (x->owned_bytes < y->owned_bytes) - (x->owned_bytes > y->owned_bytes);
}

static int by_new(const void *a, const void *b)
{
	const struct census_type_row *x = a, *y = b;

	if (x->new_owned_bytes != y->new_owned_bytes)
		return x->new_owned_bytes < y->new_owned_bytes ? 1 : -1;
	return (x->new_objects < y->new_objects) - (x->new_objects > y->new_objects);
}

static bool is_wanted(const struct run *r, const struct census_type_row *row)
{
	if ((r->o->new_since_s ? row->new_objects : row->objects) < r->o->floor)
		return false;
	return !r->has_filter || (row->type && !regexec(&r->filter, row->type, 0, NULL, 0));
}

/* Those that are shown to the front; the others are summed up. */
static void choose(const struct run *r, struct census_type_row *rows, size_t cnt, struct census_view *out)
{
	out->rows = rows;
	for (size_t i = 0; i < cnt; i++) {
		out->objects += rows[i].objects;
		out->bytes += rows[i].owned_bytes;
		if (r->o->new_since_s && !rows[i].new_objects)
			continue;
		if (is_wanted(r, &rows[i]) && (!r->o->top || out->rows_cnt < r->o->top)) {
			rows[out->rows_cnt++] = rows[i];
			continue;
		}
		out->hidden_types++;
		out->hidden_objects += r->o->new_since_s ? rows[i].new_objects : rows[i].objects;
		out->hidden_bytes += r->o->new_since_s ? rows[i].new_owned_bytes : rows[i].owned_bytes;
	}
}

static int print(const struct run *r, const struct census_view *v)
{
	struct table_opts topts = output__table_opts(r->o->verbose > 0);
	struct text text = {};

	if (r->o->json)
		census_view__json(v, &text);
	else
		census_view__table(v, &topts, &text);
	return output__write(&text, "the reading");
}

static void describe_arenas(const struct census_stats *stats, struct census_arenas_view *out)
{
	const struct census_arenas *a = &stats->arenas;

	*out = (struct census_arenas_view){ stats->has_pools && a->bytes_each, a->bytes_each, a->cnt, a->sparse_cnt, a->sparse_live_bytes, { { 0 } } };
	for (size_t i = 0; i < sizeof(out->kept_by) / sizeof(out->kept_by[0]) && i < CENSUS_KEEPERS; i++) {
		out->kept_by[i].type = a->kept_by[i].type;
		out->kept_by[i].objects = a->kept_by[i].objects;
	}
}

static void describe_news(const struct run *r, const struct subject *s, struct census_news_view *out)
{
	if (!r->o->new_since_s)
		return;
	*out = (struct census_news_view){
		.wanted = true,
		.mark_s = (s->begin_ns - s->news.mark_ns) / 1e9,
		.survived_s = s->news.since_ns ? (s->begin_ns - s->news.since_ns) / 1e9 : 0,
		.survived_gcs = r->o->survived_gcs,
		.full_gcs = s->news.full_gcs,
		.full_gcs_known = s->target.py.gc_stats_addr != 0,
	};
}

static const enum census_frozen frozen_by[] = {
	[FREEZE_NONE] = CENSUS_RAN_FREE, [FREEZE_CGROUP] = CENSUS_FROZEN_CGROUP, [FREEZE_SIGNAL] = CENSUS_FROZEN_SIGNAL,
	[FREEZE_STOPPED] = CENSUS_FROZEN_BEFORE,
};

int census_run__show(struct run *r, struct subject *s)
{
	const double interval_s = s->readings ? (s->begin_ns - s->last_ns) / 1e9 : 0, reading_s = (s->end_ns - s->begin_ns) / 1e9;
	const struct census_row *found;
	size_t cnt = census__rows(s->census, &found);
	struct census_type_row *rows = calloc(cnt + 1, sizeof(*rows));
	uint32_t *ids = calloc(cnt + 1, sizeof(*ids));
	struct census_stats stats;
	int code = EXIT_INTERNAL;

	if (!rows || !ids)
		goto out;
	s->last_ns = s->begin_ns;
	if (!s->readings++)
		s->first_ns = s->begin_ns;
	census__stats(s->census, &stats);
	struct census_view view = {
		.time_unix_ns = clock__ns(CLOCK_REALTIME),
		.elapsed_s = (s->last_ns - s->first_ns) / 1e9,
		.interval_s = interval_s,
		.pid = s->target.proc.pid,
		.core = r->o->core,
		.comm = s->target.status.comm,
		.python = s->target.py.version,
		.grade = stats.torn ? CENSUS_TORN : stats.ran ? CENSUS_NEAR : CENSUS_EXACT,
		.ran = stats.ran,
		.ran_known = stats.ran_known,
		.frozen = frozen_by[stats.freeze.by],
		.frozen_s = stats.freeze.held_ns / 1e9,
		.freeze_ended = stats.freeze.bound_ended,
		.freeze_error = stats.freeze_err ? strerror(-stats.freeze_err) : NULL,
		.sample = r->o->sample,
		.clusters_read = stats.clusters_read,
		.clusters = stats.clusters,
		.torn = stats.torn,
		.retried = stats.retried,
		.reading_s = reading_s,
		.read_bytes = stats.read_bytes,
		.coverage_note = stats.partial ? stats.note : NULL,
		.memory = { stats.memory.known, stats.memory.known && stats.has_pools, stats.memory.known && stats.has_libc,
			    stats.memory.rss_bytes, stats.memory.python_live_bytes, stats.memory.python_free_bytes, stats.memory.libc_used_bytes,
			    stats.memory.libc_free_bytes, stats.memory.stacks_bytes, stats.memory.other_anon_bytes, stats.memory.file_bytes },
	};
	describe_news(r, s, &view.news);
	describe_arenas(&stats, &view.arenas);
	for (size_t i = 0; i < cnt; i++)
		compare(r, s, &found[i], &rows[i], &ids[i]);
	if (r->o->every_s) {
		forget_absent(s, ids, cnt);
		if (judge(r, s, rows, ids, cnt, stats.memory.rss_bytes))
			goto out;
	}
	if (r->o->new_since_s)
		qsort(rows, cnt, sizeof(*rows), by_new);
	else if (interval_s > 0)
		qsort(rows, cnt, sizeof(*rows), by_gain);
	choose(r, rows, cnt, &view);
	code = print(r, &view);
out:
	if (code == EXIT_INTERNAL)
		log_error("out of memory");
	free(ids);
	free(rows);
	return code;
}

int census_run__take(struct run *r, struct subject *s)
{
	int err = heap_target__check(&s->target);

	(void)r;
	s->begin_ns = clock__now_ns();
	if (!err)
		err = census__read(s->census);
	if (!err || err == -ESRCH || err == -EAGAIN)
		err = err ? -ESRCH : heap_target__check(&s->target); /* what was read of one that ended is not the whole */
	s->end_ns = clock__now_ns();
	s->ended = err;
	if (err == -ESRCH && s->readings && !s->target.core) {
		log_info("process %d has ended, or runs another program", s->target.proc.pid);
		return EXIT_FINE;
	}
	if (err)
		return heap_target__fail(&s->target, err);
	if (s->target.py.names.types == NAMES_FALSE && census__reading(s->census) == 1)
		log_warn("process %d: types have no names, as this build is laid out in an unknown way: %s", s->target.proc.pid, s->target.py.names.doubt);
	return EXIT_FINE;
}

static int read_subject(struct run *r, struct subject *s)
{
	int code = census_run__take(r, s);

	return code || s->ended ? code : census_run__show(r, s);
}

bool census_run__wait(const struct run *r, uint64_t ns)
{
	uint64_t now = clock__now_ns(), left = ns > now ? ns - now : 0;
	const struct timespec t = { left / 1000000000, left % 1000000000 };
	int number;

	do {
		number = sigtimedwait(&r->signals, NULL, &t);
	} while (number < 0 && errno == EINTR);
	return number < 0;
}

/* All of them, and again while there is one. */
static int read_all(struct run *r)
{
	uint64_t start_ns = clock__now_ns(), next_ns = start_ns, every_ns = r->o->every_s * 1e9;
	uint64_t end_ns = r->o->duration_s ? start_ns + (uint64_t)(r->o->duration_s * 1e9) : UINT64_MAX;
	bool going = true;
	int code = EXIT_FINE;

	while (going && !code) {
		going = false;
		for (size_t i = 0; i < r->subject_cnt && !code; i++) {
			if (!r->subjects[i].ended)
				code = read_subject(r, &r->subjects[i]);
			going |= !r->subjects[i].ended;
		}
		next_ns += every_ns;
		if (next_ns < clock__now_ns())
			next_ns = clock__now_ns() + every_ns;
		going = going && every_ns && next_ns <= end_ns && !code && census_run__wait(r, next_ns);
	}
	return code;
}

enum { NICE = 10 };

/* On a host without an idle CPU the work of others comes first; unless one of them is held meanwhile. */
static void step_back(const struct run *r)
{
	if (!r->o->freeze && getpriority(PRIO_PROCESS, 0) < NICE)
		setpriority(PRIO_PROCESS, 0, NICE);
}

static int set_up(struct run *r)
{
	struct census_options *c = &r->census_options;
	int err = r->o->freeze ? freezer__new(&r->freezer) : 0;

	*c = (struct census_options){
		.freezer = r->freezer, .max_pause_ns = r->o->max_pause_s * 1e9, .sample = r->o->sample, .remember = r->o->new_since_s > 0
	};
	if (getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		c->seed = clock__now_ns();
	step_back(r);
	if (err)
		log_error("cannot start what would hold the process: %s", strerror(-err));
	return err ? EXIT_INTERNAL : EXIT_FINE;
}

static void block_signals(struct run *r)
{
	sigemptyset(&r->signals);
	sigaddset(&r->signals, SIGINT);
	sigaddset(&r->signals, SIGTERM);
	sigaddset(&r->signals, SIGHUP);
	if (r->o->every_s || r->o->new_since_s)
		sigprocmask(SIG_BLOCK, &r->signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int cmd_census(const struct options *o)
{
	struct run r = { .o = o };
	int code = EXIT_INTERNAL;

	if (!o->core && heap_target__check_namespace())
		return EXIT_UNSUPPORTED;
	r.subject_cnt = o->core ? 1 : o->pids_cnt;
	r.subjects = calloc(r.subject_cnt, sizeof(*r.subjects));
	r.strings = intern__new();
	r.stacks = r.strings ? stacks__new(r.strings) : NULL;
	r.has_filter = o->filter && !regcomp(&r.filter, o->filter, REG_EXTENDED | REG_NOSUB);
	block_signals(&r);
	if (r.subjects && r.stacks)
		code = set_up(&r);
	for (size_t i = 0; i < r.subject_cnt && !code; i++)
		code = open_subject(&r, &r.subjects[i], o->core ? 0 : o->pids[i]);
	if (!code)
		code = o->new_since_s ? census_run__new(&r) : read_all(&r);
	for (size_t i = 0; i < r.subject_cnt && r.subjects; i++)
		close_subject(&r.subjects[i]);
	if (r.has_filter)
		regfree(&r.filter);
	freezer__free(r.freezer);
	free(r.subjects);
	stacks__free(r.stacks);
	intern__free(r.strings);
	return code;
}
