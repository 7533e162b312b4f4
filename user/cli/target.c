// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "growth.h"
#include "log.h"
#include "options.h"
#include "resolver.h"
#include "snapshot.h"
#include "target.h"

#define SCAN_TICK 200000     /* blocks looked at one by one between reports */
#define SCAN_INTERVAL 2000000 /* and for a report */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

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

static int open_tracer(struct target *t, const struct options *o, char *why, size_t why_size)
{
	struct tracer_opts opts = {
		.depth = o->depth,
		.max_blocks = o->max_blocks,
		.read_only = o->read_only,
		.stop_at_finalize = o->command == CMD_RUN,
	};
	struct collect_opts copts = { .min_age_ns = o->min_age_s * 1e9, .tick_scan = SCAN_TICK, .full_scan = SCAN_INTERVAL };
	int err;

	err = tracer__open(&t->py, &opts, &t->tracer, why, why_size);
	if (err)
		return err;
	t->collector = collector__new(t->tracer, &t->py, &copts);
	return t->collector ? 0 : -ENOMEM;
}

static void note_coverage(struct target *t)
{
	const struct allocators *a = tracer__allocators(t->tracer);

	if (a->blind)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "this interpreter was built with its allocator inlined; without redirecting its allocator tables%s "
			 "most allocations are not seen", a->read_only ? " (--read-only)" : ", for which no place was found,");
	else if (t->py.subinterpreters)
		snprintf(t->coverage_note, sizeof(t->coverage_note),
			 "%d sub-interpreters: those with a GIL of their own (3.12 and later) may be counted in part, and their stacks may be "
			 "wrong", t->py.subinterpreters);
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

int target__open(struct target *t, pid_t pid, const struct options *o, bool early, struct intern *strings, struct stacks *stacks)
{
	char why[512] = "";
	int err;

	t->pid = pid;
	t->pidfd = syscall(SYS_pidfd_open, pid, 0);
	err = procfs__status(pid, &t->at_attach);
	if (err) {
		log_error("process %d: %s", pid, err == -ESRCH ? "no such process" : strerror(-err));
		return exit_of(err);
	}
	t->last = t->at_attach;
	procfs__cmdline(pid, t->cmdline, sizeof(t->cmdline));
	procfs__exe(pid, t->exe, sizeof(t->exe));
	memcpy(t->comm, t->at_attach.comm, sizeof(t->comm));
	err = open_interp(&t->py, pid, early, why, sizeof(why));
	if (err) {
		log_error("%s", *why ? why : strerror(-err)); /* it names the process */
		return exit_of(err);
	}
	err = open_tracer(t, o, why, sizeof(why));
	if (err) {
		log_error("process %d: %s", pid, *why ? why : strerror(-err));
		return err == -ESRCH ? EXIT_TARGET : err == -ENOMEM ? EXIT_INTERNAL : EXIT_UNSUPPORTED;
	}
	t->resolver = resolver__new(&t->py, t->tracer, strings, stacks);
	if (!t->resolver)
		return EXIT_INTERNAL;
	note_coverage(t);
	return 0;
}

int target__attach(struct target *t)
{
	char why[512] = "";
	int err = tracer__attach(t->tracer, why, sizeof(why));

	if (err) {
		log_error("process %d: %s", t->pid, why);
		return err == -ESRCH ? EXIT_TARGET : EXIT_UNSUPPORTED;
	}
	t->attach_ns = t->cost_at_ns = now_ns();
	return 0;
}

void target__close(struct target *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	collector__free(t->collector);
	resolver__free(t->resolver);
	tracer__free(t->tracer);
	py_interp__close(&t->py);
	memset(t, 0, sizeof(*t));
	t->pidfd = -1;
}

static void on_stack(void *ctx, const struct stack_event *ev)
{
	struct target *t = ctx;

	resolver__add_stack(t->resolver, ev);
}

static void on_code(void *ctx, const struct code_event *ev)
{
	struct target *t = ctx;

	resolver__add_code(t->resolver, ev);
}

static void on_finalize(void *ctx)
{
	struct target *t = ctx;

	if (t->state == TARGET_LIVE)
		t->state = TARGET_FINALIZED;
}

static void on_exec(void *ctx)
{
	struct target *t = ctx;

	t->state = TARGET_EXECED;
}

void target__consume(struct target *t)
{
	const struct tracer_events handlers = { t, on_stack, on_code, on_finalize, on_exec };

	tracer__consume(t->tracer, &handlers);
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
	t->py.tstate_slot_addr = now.tstate_slot_addr;
	t->py.threads_head_addr = now.threads_head_addr;
	t->py.gc_stats_addr = now.gc_stats_addr;
	t->py.types = now.types;
	t->py.set_dummy_addr = now.set_dummy_addr;
	py_interp__close(&now);
	tracer__set_runtime(t->tracer, &t->py);
}

static void refresh(struct target *t)
{
	struct proc_status st;
	int err;

	if (!target__alive(t))
		return;
	err = procfs__status(t->pid, &st);
	if (err || st.start_ticks != t->at_attach.start_ticks || st.state == 'Z' || st.state == 'X') {
		t->state = TARGET_GONE;
		return;
	}
	t->last = st;
	if (t->state != TARGET_LIVE)
		return;
	if (!t->py.gc_stats_addr)
		complete(t);
	if (t->py.gc_stats_addr && !py_interp__gc_stats(&t->py, &t->gc)) {
		t->gc_known = true;
		if (tracer__gc_probe(t->tracer)->kind == GC_PROBE_NONE)
			tracer__set_gc_epoch(t->tracer, t->gc.collections[2]);
	}
}

/*
 * What tracing cost the target: hits times the price of a hit as measured on this machine at start, and the time spent in the
 * programs as they measure it on every 64th event.
 */
static void measure_cost(struct target *t)
{
	const struct proc_state *ps = tracer__state(t->tracer);
	const struct tracer_cost *cost = tracer__cost(t->tracer);
	uint64_t now = now_ns(), events = ps->events + ps->raw_events;
	double run_ns = ps->sampled_events ? (double)ps->sampled_ns / ps->sampled_events : 0;
	double trap_ns = (cost->returned_ns + cost->emulated_ns) / 2; /* about as many frees as allocations */

	if (cost->emulated_ns > 0 && now > t->cost_at_ns) {
		t->cpu_pct = (events - t->cost_events) * (trap_ns + run_ns) / (now - t->cost_at_ns) * 100;
		t->cpu_pct_known = true;
	}
	t->cost_events = events;
	t->cost_at_ns = now;
}

int target__sample(struct target *t, struct growth *g, bool interval_end, struct leak_rows *totals)
{
	struct leak_rows rows;
	int err;

	refresh(t);
	err = collector__read(t->collector, interval_end, &rows);
	if (err)
		return err;
	target__consume(t); /* after the reading: now every stack in it is known */
	growth__process(g, t->proc, t->last.rss_bytes, t->at_attach.peak_rss_bytes);
	resolver__begin(t->resolver, target__alive(t));
	for (size_t i = 0; i < rows.cnt && !err; i++) {
		const struct leak_row *row = &rows.rows[i];
		struct sample s = {
			.proc = t->proc,
			.stack = resolver__stack(t->resolver, row->stack),
			.bytes = row->bytes,
			.objects = row->objects,
			.oldest_ns = row->oldest_ns,
			.survived_full_gcs = row->survived_full_gcs,
			.survivors = row->survivors,
		};

		if (!row->objects && !row->bytes)
			continue;
		s.type = resolver__type(t->resolver, row->type, &s.type_is_buffer);
		err = growth__add(g, &s);
	}
	if (interval_end)
		measure_cost(t);
	totals->bytes += rows.bytes;
	totals->objects += rows.objects;
	totals->obj_bytes += rows.obj_bytes;
	totals->obj_objects += rows.obj_objects;
	return err;
}

void target__describe(struct target *t, struct snapshot_process *out)
{
	const struct proc_state *ps = tracer__state(t->tracer);

	*out = (struct snapshot_process){
		.proc = t->proc,
		.pid = t->pid,
		.comm = t->comm,
		.cmdline = t->cmdline,
		.python = t->py.version,
		.exe = t->exe,
		.rss_bytes = t->last.rss_bytes,
		.rss_at_attach_bytes = t->at_attach.rss_bytes,
		.peak_rss_bytes = t->last.peak_rss_bytes,
		.coverage_partial = *t->coverage_note != '\0',
		.coverage_note = *t->coverage_note ? t->coverage_note : NULL,
		.gc_known = t->gc_known,
		.gone = !target__alive(t),
	};
	for (int i = 0; i < 3; i++) {
		out->gc_collections[i] = t->gc.collections[i];
		out->gc_uncollectable += t->gc.uncollectable[i];
	}
	if (tracer__gc_probe(t->tracer)->kind != GC_PROBE_NONE) {
		out->gc_duration_s = (struct maybe){ true, (ps->gc_ns[0] + ps->gc_ns[1] + ps->gc_ns[2]) / 1e9 };
		out->gc_last_duration_s = (struct maybe){ ps->gc_cnt[2] > 0, ps->gc_last_ns / 1e9 };
	}
}
