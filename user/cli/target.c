// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "growth.h"
#include "host.h"
#include "intern.h"
#include "log.h"
#include "options.h"
#include "reach.h"
#include "resolver.h"
#include "snapshot.h"
#include "target.h"

#define NAMES_TRIES 4             /* when there will be no other time */
#define NAMES_PAUSE_NS 10000000 /* between two questions whether names are right */

static int exit_of(int err)
{
	switch (err) {
	case -ESRCH:
	case -EPERM:
	case -EACCES:
		return EXIT_TARGET;
	case -ENOMEM:
		return EXIT_INTERNAL;
	default:
		return EXIT_UNSUPPORTED;
	}
}

static void note_coverage(struct target *t)
{
	const struct allocators *a = tracer__allocators(t->tracer);

	if (a->blind && a->no_tables)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "this Python 2.7 was built with its allocator inlined, and has no allocator tables that could be redirected: most objects "
			 "are not seen; list items, dict and set tables and large objects are");
	else if (a->blind)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "this interpreter was built with its allocator inlined; without redirecting its allocator tables%s "
			 "most allocations are not seen", a->read_only ? " (--read-only)" : ", for which no place was found,");
	else if (a->no_tables && !*a->libc.path)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "Python 2.7 takes memory for lists, dicts and sets from libc, whose allocator was not found here: only objects "
			 "themselves are seen");
}

/* What is doubted stays so; what is not told yet may be, at the next reading. */
static void note_names(struct target *t)
{
	const struct py_names *names = &t->py.names;
	const bool types = names->types == NAMES_TRUE, codes = names->codes == NAMES_TRUE;

	*t->names_note = '\0';
	if (types && codes && resolver__doubts_stacks(t->resolver))
		snprintf(t->names_note, sizeof(t->names_note), "no Python frame was found so far, so that stacks are not told: either no Python code "
			 "allocates, or this interpreter keeps frames in another way than other builds of its version");
	if (types && codes)
		return;
	snprintf(t->names_note, sizeof(t->names_note), "%s not told: %s%s",
		 types ? "files, functions and lines are" : codes ? "types are" : "types, files, functions and lines are",
		 *names->doubt ? "this interpreter keeps them in another way than other builds of its version: " :
				 "the interpreter has not got far enough to show where it keeps them",
		 names->doubt);
}

/* A process that was just started gets a second to become an interpreter. */
static int open_interp(struct py_interp *py, pid_t pid, bool early, char *why, size_t why_size)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int err = -EAGAIN;

	if (early)
		return py_interp__open_early(py, pid, why, why_size);
	for (int i = 0; i < 100 && err == -EAGAIN; i++) {
		if (i)
			nanosleep(&pause, NULL);
		err = py_interp__open(py, pid, why, why_size);
	}
	return err;
}

static char *copy_text(int (*read)(pid_t pid, char *out, size_t size), pid_t pid)
{
	char text[4096];

	return read(pid, text, sizeof(text)) ? NULL : strdup(text);
}

static int describe_process(struct target *t, pid_t pid)
{
	int err;

	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->pidfd = syscall(SYS_pidfd_open, pid, 0);
	err = procfs__status(pid, &t->at_attach);
	if (err)
		return err;
	t->last = t->at_attach;
	t->cmdline = copy_text(procfs__cmdline, pid);
	t->exe = copy_text(procfs__exe, pid);
	container__of(pid, &t->container);
	memcpy(t->comm, t->at_attach.comm, sizeof(t->comm));
	return 0;
}

/* What is needed beside the tracer. */
static int complete_open(struct target *t, const struct target_env *env)
{
	if (env->o->budget_pct > 0) {
		t->survey = survey__new(&t->py, t->tracer);
		if (!t->survey)
			return -ENOMEM;
	}
	t->collector = collector__new(env->collect, t->tracer, &t->py, t->survey);
	t->resolver = resolver__new(&t->py, t->tracer, env->strings, env->stacks);
	tracer__set_owner(t->tracer, t);
	note_coverage(t);
	note_names(t);
	intern__string(env->strings, t->py.module_path, &t->binary_name);
	if (*t->container.id)
		intern__string(env->strings, t->container.id, &t->container_name);
	return t->collector && t->resolver ? 0 : -ENOMEM;
}

int target__open(struct target *t, pid_t pid, const struct target_env *env, bool early, char *why, size_t why_size)
{
	char sentence[512] = "";
	int err;

	err = describe_process(t, pid);
	if (err) {
		snprintf(why, why_size, "process %d: %s", pid, err == -ESRCH ? "no such process" : strerror(-err));
		return exit_of(err);
	}
	err = open_interp(&t->py, pid, early, why, why_size);
	if (err) {
		if (!*why)
			snprintf(why, why_size, "process %d: %s", pid, strerror(-err)); /* else it names the process */
		return exit_of(err);
	}
	err = reach__find_path(&t->py, sentence, sizeof(sentence));
	err = err ?: tracer__open(env->tracers, &t->py, &t->tracer, sentence, sizeof(sentence));
	err = err ?: complete_open(t, env);
	if (err) {
		snprintf(why, why_size, "process %d: %s", pid, *sentence ? sentence : strerror(-err));
		if (host__missing()) {
			log_error("%s", host__missing());
			return EXIT_UNSUPPORTED;
		}
		return err == -ESRCH ? EXIT_TARGET : err == -ENOMEM ? EXIT_INTERNAL : EXIT_UNSUPPORTED;
	}
	return 0;
}

int target__open_child(struct target *t, const struct target *parent, const struct fork_event *ev, const struct target_env *env)
{
	pid_t pid = ev->child_tgid;
	int err = describe_process(t, pid), gone = err;

	t->py = parent->py;
	t->py.pid = pid;
	t->py.proc = process__live(pid);
	t->py.mem = process__remote(&t->py.proc);
	elf_file__ref(t->py.elf);
	err = tracer__open_child(env->tracers, parent->tracer, ev, &t->py, &t->tracer);
	if (!t->tracer)
		return err;
	err = complete_open(t, env);
	if (*engine__allocators(tracer__engine(t->tracer))->libc.path)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "a forked child of Python 2.7: what it takes from libc itself (list items, dict and set tables) is not seen");
	if (!err && !gone)
		resolver__inherit(t->resolver, parent->resolver);
	t->attach_ns = t->cost_at_ns = clock__now_ns();
	return err ?: gone;
}

int target__attach(struct target *t, char *why, size_t why_size)
{
	char sentence[512] = "";
	int err = tracer__attach(t->tracer, sentence, sizeof(sentence));

	if (err) {
		snprintf(why, why_size, "process %d: %s", t->pid, sentence);
		return err == -ESRCH ? EXIT_TARGET : EXIT_UNSUPPORTED;
	}
	t->attach_ns = t->cost_at_ns = clock__now_ns();
	return 0;
}

void target__retire(struct target *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	t->pidfd = -1;
	collector__free(t->collector);
	t->collector = NULL;
	survey__free(t->survey);
	t->survey = NULL;
	resolver__free(t->resolver);
	t->resolver = NULL;
	tracer__free(t->tracer);
	t->tracer = NULL;
	py_interp__close(&t->py);
}

void target__close(struct target *t)
{
	target__retire(t);
	free(t->cmdline);
	free(t->exe);
	free(t->samples);
	memset(t, 0, sizeof(*t));
	t->pidfd = -1;
}

bool target__alive(const struct target *t)
{
	return t->state == TARGET_LIVE || t->state == TARGET_FINALIZED;
}

/* Started by us and opened before its first instruction: by now it may have what it lacked then. */
static void complete(struct target *t)
{
	struct py_interp now;
	char why[512];

	if (py_interp__open(&now, t->pid, why, sizeof(why)))
		return;
	t->py.interp_addr = now.interp_addr;
	t->py.tls_off = now.tls_off;
	t->py.interp_bytes_min = now.interp_bytes_min;
	t->py.interp_bytes_max = now.interp_bytes_max;
	t->py.tstate_slot_addr = now.tstate_slot_addr;
	t->py.threads_head_addr = now.threads_head_addr;
	t->py.gc_stats_addr = now.gc_stats_addr;
	t->py.gc_head_bytes = now.gc_head_bytes;
	t->py.types = now.types;
	t->py.set_dummy_addr = now.set_dummy_addr;
	if (t->py.names.types == NAMES_UNCHECKED && t->py.names.codes == NAMES_UNCHECKED)
		t->py.names = now.names;
	py_interp__close(&now);
	tracer__set_runtime(t->tracer, &t->py);
}

static void look_at_limit(struct target *t, const struct mem_limits *limits)
{
	struct mem_limit now;

	if (mem_limit__of(limits, t->pid, &now))
		return;
	if (now.kind != t->limit.kind || now.bytes != t->limit.bytes || now.owner != t->limit.owner)
		t->start_headroom_bytes = now.headroom_bytes;
	t->limit = now;
}

void target__check_names(struct target *t, bool last)
{
	const struct py_names *names = &t->py.names;
	uint64_t now = clock__now_ns();
	bool settled = false;

	if ((names->types != NAMES_UNCHECKED && names->codes != NAMES_UNCHECKED) || !t->tracer || t->state != TARGET_LIVE ||
	    (!last && now - t->names_asked_ns < NAMES_PAUSE_NS))
		return;
	t->names_asked_ns = now;
	if (!t->py.interp_addr)
		complete(t);
	for (int i = 0; i < (last ? NAMES_TRIES : 1) && !settled; i++)
		settled = py_interp__check_names(&t->py);
	note_names(t);
	if (settled && *names->doubt)
		log_warn("process %d: %s", t->pid, t->names_note);
}

void target__refresh(struct target *t, const struct target_env *env, bool interval_end)
{
	const struct proc_state *ps;
	struct proc_status st;
	int err;

	if (!target__alive(t) || !t->tracer)
		return;
	ps = tracer__state(t->tracer);
	if (t->state == TARGET_LIVE)
		tracer__follow_tables(t->tracer, false);
	target__check_names(t, false);
	if (tracer__gap(t->tracer) && !*t->coverage_note)
		snprintf(t->coverage_note, sizeof(t->coverage_note), "%s", tracer__gap(t->tracer));
	tracer__hold(t->tracer);
	if (!interval_end && t->pidfd >= 0 && t->py.gc_stats_addr && ps->events + ps->raw_events == t->events)
		return; /* it sleeps; its end is told by the descriptor */
	err = procfs__status(t->pid, &st);
	if (err || st.start_ticks != t->at_attach.start_ticks || st.state == 'Z' || st.state == 'X') {
		t->state = TARGET_GONE;
		return;
	}
	t->last = st;
	history__add(&t->rss, clock__now_ns(), st.rss_bytes);
	if (interval_end || !t->limit.kind)
		look_at_limit(t, env->limits);
	if (t->state != TARGET_LIVE)
		return;
	tracer__look_at_gils(t->tracer, py_interp__other_gils(&t->py));
	if (!t->py.gc_stats_addr)
		complete(t);
	if (t->py.gc_stats_addr && !py_interp__gc_stats(&t->py, &t->gc)) {
		t->gc_known = true;
		if (engine__gc_probe(tracer__engine(t->tracer))->kind == GC_PROBE_NONE)
			tracer__set_gc_epoch(t->tracer, t->gc.collections[2]);
	}
}

/*
 * What tracing cost the target: hits times the price of a hit as measured on this machine at start, and the time spent in the
 * programs as they measure it on every 64th event.
 */
static void measure_cost(struct target *t, const struct tracer_cost *cost)
{
	const struct proc_state *ps = tracer__state(t->tracer);
	uint64_t now = clock__now_ns(), events = ps->events + ps->raw_events;
	double run_ns = ps->sampled_events ? (double)ps->sampled_ns / ps->sampled_events : 0;
	double trap_ns = (cost->returned_ns + cost->emulated_ns) / 2; /* about as many frees as allocations */

	if (t->survey) {
		if (now > t->cost_at_ns)
			t->cpu_pct = (double)(t->gate.cost_ns - t->cost_events) / (now - t->cost_at_ns) * 100;
		t->cpu_pct_known = true;
		t->cost_events = t->gate.cost_ns;
		t->cost_at_ns = now;
		return;
	}

	if (cost->emulated_ns > 0 && now > t->cost_at_ns) {
		t->cpu_pct = (events - t->cost_events) * (trap_ns + run_ns) / (now - t->cost_at_ns) * 100;
		t->cpu_pct_known = true;
	}
	t->cost_events = events;
	t->cost_at_ns = now;
}

static int keep_sample(struct target *t, const struct leak_row *row)
{
	struct sample *s;

	if (t->samples_cnt == t->samples_capacity) {
		size_t capacity = t->samples_capacity ? 2 * t->samples_capacity : 256;

		s = realloc(t->samples, capacity * sizeof(*s));
		if (!s)
			return -ENOMEM;
		t->samples = s;
		t->samples_capacity = capacity;
	}
	s = &t->samples[t->samples_cnt++];
	*s = (struct sample){
		.proc = t->proc,
		.container = t->container_name,
		.binary = t->binary_name,
		.stack = resolver__stack(t->resolver, row->stack),
		.bytes = row->bytes,
		.objects = row->objects,
		.bytes_error = row->bytes_error,
		.estimated = row->kind_samples == SURVEY_UNKNOWN,
		.oldest_ns = row->oldest_ns,
		.survived_full_gcs = row->survived_full_gcs,
		.survivors = row->survivors,
		.garbage = row->est_garbage + 0.5,
		.recycled_max = py_type__recycled_max(&t->py, row->type, engine__recycle_cnt(tracer__engine(t->tracer))),
	};
	s->type = resolver__type(t->resolver, row->type, &s->type_is_buffer);
	return 0;
}

/* Everything that is to be known when the process has gone. */
static int take_reading(struct target *t)
{
	const struct proc_state *ps = tracer__state(t->tracer);
	const struct leak_rows *rows = collector__rows(t->collector);
	int err = 0;

	t->samples_cnt = 0;
	resolver__begin(t->resolver, target__alive(t));
	for (size_t i = 0; i < rows->cnt && !err; i++)
		if (rows->rows[i].objects || rows->rows[i].bytes)
			err = keep_sample(t, &rows->rows[i]);
	note_names(t);
	t->totals = *rows;
	t->events = ps->events + ps->raw_events;
	if (t->survey) {
		if (tracer__gate(t->tracer))
			gate__stats(tracer__gate(t->tracer), &t->gate);
		survey__stats(t->survey, &t->surveyed);
	}
	memcpy(t->loss, ps->loss, sizeof(t->loss));
	if (engine__gc_probe(tracer__engine(t->tracer))->kind != GC_PROBE_NONE) {
		t->gc_all_s = (struct maybe){ true, (ps->gc_ns[0] + ps->gc_ns[1] + ps->gc_ns[2]) / 1e9 };
		t->gc_last_s = (struct maybe){ ps->gc_cnt[2] > 0, ps->gc_last_ns / 1e9 };
	}
	return err;
}

int target__sample(struct target *t, struct growth *g, const struct tracer_cost *cost)
{
	int err = t->tracer && !t->torn_down ? take_reading(t) : 0;

	growth__process(g, t->proc, t->last.rss_bytes, t->at_attach.peak_rss_bytes);
	for (size_t i = 0; i < t->samples_cnt && !err; i++)
		err = growth__add(g, &t->samples[i]);
	if (cost && t->tracer)
		measure_cost(t, cost);
	return err;
}

void target__describe(struct target *t, struct snapshot_process *out)
{
	*out = (struct snapshot_process){
		.proc = t->proc,
		.pid = t->pid,
		.comm = t->comm,
		.cmdline = t->cmdline,
		.python = t->py.version,
		.exe = t->exe,
		.module = t->py.module_path,
		.container = *t->container.id ? t->container.id : NULL,
		.container_runtime = *t->container.runtime ? t->container.runtime : NULL,
		.pod_uid = *t->container.pod_uid ? t->container.pod_uid : NULL,
		.rss_bytes = t->last.rss_bytes,
		.rss_at_attach_bytes = t->at_attach.rss_bytes,
		.peak_rss_bytes = t->last.peak_rss_bytes,
		.coverage_partial = *t->coverage_note || *t->names_note,
		.coverage_note = *t->coverage_note ? t->coverage_note : *t->names_note ? t->names_note : NULL,
		.gc_known = t->gc_known,
		.limit_kind = target__alive(t) ? mem_limit__name(t->limit.kind) : NULL,
		.limit_bytes = t->limit.bytes,
		.limit_headroom_bytes = t->limit.headroom_bytes,
		.limit_partial = t->limit.partial,
		.rss_slope = target__alive(t) ? slope__of(&t->rss) : (struct slope){ .trend = TREND_UNKNOWN },
		.gone = !target__alive(t),
	};
	for (int i = 0; i < 3; i++) {
		out->gc_collections[i] = t->gc.collections[i];
		out->gc_uncollectable += t->gc.uncollectable[i];
	}
	out->gc_duration_s = t->gc_all_s;
	out->gc_last_duration_s = t->gc_last_s;
}
