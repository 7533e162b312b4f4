// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "growth.h"
#include "options.h"
#include "resolver.h"
#include "targets.h"

#define SCAN_TICK 200000      /* blocks looked at one by one between reports */
#define SCAN_INTERVAL 2000000 /* and for a report */
#define ENDED_MAX 256         /* kept for the last report */

struct targets {
	struct target_env env;
	struct targets_events events;
	struct target **list;
	size_t cnt, capacity, dropped_cnt;
	uint32_t next_proc;
};

struct targets *targets__new(const struct options *o, struct intern *strings, struct stacks *stacks, const struct targets_events *events)
{
	struct targets *ts = calloc(1, sizeof(*ts));
	const struct tracer_opts opts = {
		.depth = o->depth,
		.max_blocks = o->max_blocks,
		.procs_max = options__follow(o) ? MAX_PROCS : o->pids_cnt,
		.follow = options__follow(o),
		.read_only = o->read_only,
		.stop_at_finalize = o->command == CMD_RUN,
		.budget = o->budget_pct / 100,
		.max_pause_ns = o->max_pause_s * 1e9,
	};
	const struct collect_opts copts = { .min_age_ns = o->min_age_s * 1e9, .survived_gcs = o->survived_gcs, .tick_scan = SCAN_TICK, .full_scan = SCAN_INTERVAL };

	if (!ts)
		return NULL;
	ts->env = (struct target_env){ .o = o, .strings = strings, .stacks = stacks };
	ts->events = *events;
	ts->env.tracers = tracers__new(&opts);
	ts->env.collect = ts->env.tracers ? collect__new(ts->env.tracers, &copts) : NULL;
	ts->env.limits = mem_limits__new("");
	if (!ts->env.collect || !ts->env.limits) {
		targets__free(ts);
		return NULL;
	}
	return ts;
}

void targets__free(struct targets *ts)
{
	if (!ts)
		return;
	for (size_t i = 0; i < ts->cnt; i++) {
		target__close(ts->list[i]);
		free(ts->list[i]);
	}
	free(ts->list);
	collect__free(ts->env.collect);
	tracers__free(ts->env.tracers);
	mem_limits__free(ts->env.limits);
	free(ts);
}

static struct target *new_target(struct targets *ts)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t || ts->cnt < ts->capacity)
		return t;
	ts->capacity = ts->capacity ? 2 * ts->capacity : 16;
	ts->list = reallocarray(ts->list, ts->capacity, sizeof(*ts->list));
	if (!ts->list)
		abort(); /* nothing can be put back without the list */
	return t;
}

static void keep(struct targets *ts, struct target *t)
{
	t->proc = ++ts->next_proc;
	ts->list[ts->cnt++] = t;
}

int targets__add(struct targets *ts, pid_t pid, bool early, struct target **out, char *why, size_t why_size)
{
	struct target *t = new_target(ts);
	int err = t ? target__open(t, pid, &ts->env, early, why, why_size) : EXIT_INTERNAL;

	*out = NULL;
	err = err ?: target__attach(t, why, why_size);
	if (err) {
		if (t)
			target__close(t);
		free(t);
		return err;
	}
	keep(ts, t);
	*out = t;
	return 0;
}

bool targets__prepare(struct targets *ts, pid_t pid)
{
	return tracers__prepare(ts->env.tracers, pid);
}

size_t targets__list(const struct targets *ts, struct target *const **out)
{
	*out = ts->list;
	return ts->cnt;
}

struct target *targets__find(const struct targets *ts, pid_t pid)
{
	for (size_t i = 0; i < ts->cnt; i++)
		if (ts->list[i]->pid == pid && target__alive(ts->list[i]))
			return ts->list[i];
	return NULL;
}

struct target *targets__find_proc(const struct targets *ts, uint32_t proc)
{
	for (size_t i = 0; i < ts->cnt; i++)
		if (ts->list[i]->proc == proc)
			return ts->list[i];
	return NULL;
}

size_t targets__alive_cnt(const struct targets *ts)
{
	size_t cnt = 0;

	for (size_t i = 0; i < ts->cnt; i++)
		cnt += target__alive(ts->list[i]);
	return cnt;
}

int targets__epoll_fd(const struct targets *ts)
{
	return tracers__epoll_fd(ts->env.tracers);
}

static void on_stack(void *ctx __attribute__((unused)), void *owner, const struct stack_event *ev)
{
	const struct target *t = owner;

	resolver__add_stack(t->resolver, ev);
}

static void on_code(void *ctx __attribute__((unused)), void *owner, const struct code_event *ev)
{
	struct target *t = owner;

	target__check_names(t, false);
	resolver__add_code(t->resolver, ev);
}

static void on_fork(void *ctx, void *owner, const struct fork_event *ev)
{
	struct targets *ts = ctx;
	const struct target *parent = owner;
	struct target *t;
	int err;

	t = tracer__is_foreign(parent->tracer) ? NULL : new_target(ts); /* foreign: a child that we could not name */
	if (!t) {
		engine__give_up(tracer__engine(parent->tracer), ev);
		return;
	}
	err = target__open_child(t, parent, ev, &ts->env);
	if (!t->tracer || err == -ENOMEM) {
		target__close(t);
		free(t);
		return;
	}
	if (err)
		t->state = TARGET_GONE; /* gone before it could be looked at: nothing is known of it */
	keep(ts, t);
	ts->events.added(ts->events.ctx, t);
}

static void on_tables(void *ctx __attribute__((unused)), void *owner)
{
	const struct target *t = owner;

	tracer__follow_tables(t->tracer, true);
}

static void on_finalize(void *ctx __attribute__((unused)), void *owner)
{
	struct target *t = owner;

	target__check_names(t, true);
	if (t->state == TARGET_LIVE)
		t->state = TARGET_FINALIZED;
}

static void on_exec(void *ctx __attribute__((unused)), void *owner)
{
	struct target *t = owner;

	t->state = TARGET_EXECED;
}

void targets__consume(struct targets *ts)
{
	const struct tracer_events handlers = { ts, on_stack, on_code, on_fork, on_tables, on_finalize, on_exec };

	tracers__consume(ts->env.tracers, &handlers);
	for (size_t i = 0; i < ts->cnt; i++) /* where the ring buffer was full */
		if (ts->list[i]->tracer && tracer__state(ts->list[i]->tracer)->finalized)
			on_finalize(NULL, ts->list[i]);
}

const struct tracer_cost *targets__cost(const struct targets *ts)
{
	return tracers__cost(ts->env.tracers);
}

int targets__sample(struct targets *ts, struct growth *g, bool interval_end)
{
	const struct tracer_cost *cost = interval_end ? targets__cost(ts) : NULL;
	int err;

	for (size_t i = 0; i < ts->cnt; i++)
		target__refresh(ts->list[i], &ts->env, interval_end);
	err = collect__read(ts->env.collect, interval_end);
	targets__consume(ts); /* after the reading: now every stack in it is known */
	for (size_t i = 0; i < ts->cnt && !err; i++)
		err = target__sample(ts->list[i], g, cost);
	return err;
}

static void drop(struct targets *ts, size_t i)
{
	target__close(ts->list[i]);
	free(ts->list[i]);
	memmove(&ts->list[i], &ts->list[i + 1], (--ts->cnt - i) * sizeof(*ts->list));
}

void targets__drop_reported(struct targets *ts)
{
	for (size_t i = 0; i < ts->cnt; i++) {
		const struct target *t = ts->list[i];

		if (!target__alive(t) && t->state == t->state_handled && t->reported_gone)
			drop(ts, i--);
	}
}

void targets__retire_ended(struct targets *ts, bool keep)
{
	size_t ended = 0;

	for (size_t i = 0; i < ts->cnt; i++) {
		struct target *t = ts->list[i];

		if (target__alive(t) || t->state != t->state_handled)
			continue;
		ended++;
		if (t->tracer)
			target__retire(t);
	}
	for (size_t i = 0; keep && i < ts->cnt && ended > ENDED_MAX; i++) {
		if (target__alive(ts->list[i]))
			continue;
		drop(ts, i--);
		ts->dropped_cnt++;
		ended--;
	}
}

void targets__detach(struct targets *ts)
{
	tracers__restore(ts->env.tracers);
	for (size_t i = 0; i < ts->cnt; i++)
		if (ts->list[i]->tracer)
			gate__ask_to_stop(tracer__gate(ts->list[i]->tracer));
	for (size_t i = 0; i < ts->cnt; i++)
		if (ts->list[i]->tracer)
			tracer__detach(ts->list[i]->tracer);
	tracers__detach(ts->env.tracers);
}

size_t targets__dropped_cnt(const struct targets *ts)
{
	return ts->dropped_cnt;
}
