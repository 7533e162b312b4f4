// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_schema.c has the same fields in the same order. */
#include <math.h>

#include "intern.h"
#include "json_fields.h"
#include "snapshot.h"
#include "stacks.h"
#include "text.h"

static void key__bytes_or_null(struct json_writer *w, const char *key, int64_t value)
{
	json__key(w, key);
	if (value == SNAPSHOT_UNKNOWN_BYTES)
		json__null(w);
	else
		json__int(w, value);
}

static void key__maybe(struct json_writer *w, const char *key, const struct maybe *m)
{
	json__key(w, key);
	if (m->known)
		json__double(w, m->value);
	else
		json__null(w);
}

/* An id of the intern table; 0 is null. */
static void key__id(struct json_writer *w, const char *key, const struct intern *strings, uint32_t id)
{
	size_t len;
	const char *bytes = intern__get(strings, id, &len);

	json__key(w, key);
	if (len)
		json__bytes(w, bytes, len);
	else
		json__null(w);
}

static void json__gc(struct json_writer *w, const struct snapshot_process *p)
{
	json__key(w, "gc");
	if (!p->gc_known) {
		json__null(w);
		return;
	}
	json__object_begin(w);
	json__key(w, "collections");
	json__array_begin(w);
	for (int i = 0; i < 3; i++)
		json__uint(w, p->gc_collections[i]);
	json__array_end(w);
	key__uint(w, "uncollectable", p->gc_uncollectable);
	key__maybe(w, "last_duration_s", &p->gc_last_duration_s);
	key__maybe(w, "duration_s", &p->gc_duration_s);
	json__object_end(w);
}

static void json__limit(struct json_writer *w, const struct snapshot_process *p)
{
	json__key(w, "memory_limit");
	if (!p->limit_kind) {
		json__null(w);
		return;
	}
	json__object_begin(w);
	key__string(w, "kind", p->limit_kind);
	key__uint(w, "bytes", p->limit_bytes);
	key__uint(w, "headroom_bytes", p->limit_headroom_bytes);
	json__key(w, "partial");
	json__bool(w, p->limit_partial);
	key__uint(w, "shared_by", p->limit_shared_by);
	json__object_end(w);
}

static void key__seconds(struct json_writer *w, const char *key, bool known, double seconds)
{
	const struct maybe m = {known && isfinite(seconds), seconds};

	key__maybe(w, key, &m);
}

static void json__forecast(struct json_writer *w, const struct snapshot_process *p)
{
	const struct slope *s = &p->rss_slope;
	bool known = s->trend != TREND_UNKNOWN, reached = s->trend == TREND_GROWING && p->limit_kind;

	json__key(w, "forecast");
	json__object_begin(w);
	key__string(w, "trend", trend__name(s->trend));
	key__maybe(w, "rss_bytes_per_s", &(struct maybe){known, s->bytes_per_s});
	key__maybe(w, "low", &(struct maybe){known, s->low});
	key__maybe(w, "high", &(struct maybe){known, s->high});
	key__seconds(w, "limit_in_s", reached, p->forecast.limit_in_s);
	key__seconds(w, "limit_in_s_earliest", reached, p->forecast.earliest_s);
	key__seconds(w, "limit_in_s_latest", reached, p->forecast.latest_s);
	key__seconds(w, "restart_every_s", reached && p->forecast.restart_every_s > 0, p->forecast.restart_every_s);
	json__object_end(w);
}

static void json__process(struct json_writer *w, const struct snapshot_process *p)
{
	json__object_begin(w);
	key__int(w, "pid", p->pid);
	key__string(w, "comm", p->comm);
	key__string(w, "cmdline", p->cmdline);
	key__string(w, "python", p->python);
	key__string(w, "exe", p->exe);
	key__string(w, "container", p->container);
	key__string(w, "container_runtime", p->container_runtime);
	key__string(w, "pod_uid", p->pod_uid);
	key__bytes_or_null(w, "rss_bytes", p->rss_bytes);
	key__bytes_or_null(w, "rss_at_attach_bytes", p->rss_at_attach_bytes);
	key__bytes_or_null(w, "peak_rss_bytes", p->peak_rss_bytes);
	key__string(w, "coverage", p->coverage_partial ? "partial" : "full");
	if (p->coverage_note)
		key__string(w, "coverage_note", p->coverage_note);
	json__gc(w, p);
	json__limit(w, p);
	json__forecast(w, p);
	json__key(w, "gone");
	json__bool(w, p->gone);
	json__object_end(w);
}

static void json__frame(struct json_writer *w, const struct snapshot *s, const struct frame *f)
{
	json__object_begin(w);
	key__id(w, "file", s->strings, f->file);
	json__key(w, "line");
	if (f->line)
		json__uint(w, f->line);
	else
		json__null(w);
	key__id(w, "function", s->strings, f->function);
	if (f->flags & FRAME_STALE) {
		json__key(w, "stale");
		json__bool(w, true);
	}
	json__object_end(w);
}

static void json__stack(struct json_writer *w, const struct snapshot *s, uint32_t stack)
{
	size_t cnt;
	const struct frame *frames = stacks__get(s->stacks, stack, &cnt);

	json__key(w, "stack");
	json__array_begin(w);
	for (size_t i = 0; i < cnt; i++)
		json__frame(w, s, &frames[i]);
	json__array_end(w);
	if (cnt && frames[cnt - 1].flags & FRAME_CUT) {
		json__key(w, "stack_truncated");
		json__bool(w, true);
	}
}

static void json__grower(struct json_writer *w, const struct snapshot *s, const struct growth_row *r)
{
	const struct snapshot_process *p = snapshot__process(s, r->proc);

	json__object_begin(w);
	key__uint(w, "rank", r->rank);
	json__key(w, "pid");
	if (p)
		json__int(w, p->pid);
	else
		json__null(w);
	if (s->group == GROUP_CONTAINER || s->group == GROUP_BINARY)
		key__string(w, "group", !p ? NULL : s->group == GROUP_BINARY ? p->module : p->container);
	key__id(w, "type", s->strings, r->type);
	key__int(w, "bytes", r->bytes);
	key__int(w, "objects", r->objects);
	key__int(w, "delta_bytes", r->delta_bytes);
	key__int(w, "delta_objects", r->delta_objects);
	key__double(w, "bytes_per_s", r->bytes_per_s);
	key__double(w, "bytes_error", r->bytes_error);
	json__key(w, "oldest_s");
	if (r->oldest_s >= 0)
		json__double(w, r->oldest_s);
	else
		json__null(w);
	key__uint(w, "survived_full_gcs", r->survived_full_gcs);
	key__int(w, "survivors", r->survivors);
	key__string(w, "verdict", verdict__name(r->verdict));
	json__stack(w, s, r->stack);
	json__object_end(w);
}

static void json__lost(struct json_writer *w, const struct snapshot *s)
{
	json__key(w, "lost");
	json__object_begin(w);
	key__uint(w, "events", s->lost_events);
	key__uint(w, "stacks", s->lost_stacks);
	for (size_t i = 0; i < s->lost_more_cnt; i++)
		key__uint(w, s->lost_more[i].name, s->lost_more[i].value);
	json__object_end(w);
}

static void json__head(struct json_writer *w, const struct snapshot *s)
{
	key__string(w, "schema", "pyleak-bpf/snapshot/1");
	key__time(w, "time", s->time_unix_ns);
	key__double(w, "elapsed_s", s->elapsed_s);
	key__double(w, "interval_s", s->interval_s);
	json__key(w, "final");
	json__bool(w, s->final);
	key__string(w, "mode", s->mode);
	key__string(w, "group_by", growth_group__name(s->group));
}

static void json__sums(struct json_writer *w, const struct snapshot *s)
{
	json__key(w, "outstanding");
	json__object_begin(w);
	key__int(w, "bytes", s->outstanding_bytes);
	key__int(w, "objects", s->outstanding_objects);
	key__int(w, "pymalloc_bytes", s->pymalloc_bytes);
	key__int(w, "pymalloc_objects", s->pymalloc_objects);
	json__object_end(w);
	json__lost(w, s);
	json__key(w, "overhead");
	json__object_begin(w);
	key__maybe(w, "target_cpu_pct", &s->target_cpu_pct);
	if (s->sampling.known) {
		key__maybe(w, "target_cpu_mean_pct", &s->target_cpu_mean_pct);
		key__double(w, "longest_pause_s", s->sampling.longest_pause_s);
		key__uint(w, "bursts", s->sampling.bursts);
		key__uint(w, "lookouts", s->sampling.lookouts);
		key__uint(w, "samples", s->sampling.samples);
		key__double(w, "sampled_fraction", s->sampling.fraction);
		key__double(w, "reused_fraction", s->sampling.reused);
	}
	json__object_end(w);
	json__key(w, "verdicts");
	json__object_begin(w);
	for (int v = VERDICT_UNKNOWN; v <= VERDICT_GROWING; v++)
		key__uint(w, verdict__name((enum verdict)v), s->totals.verdicts[v]);
	key__uint(w, "intervals_missing", s->totals.intervals_missing);
	json__object_end(w);
}

void snapshot__json(const struct snapshot *s, struct text *out)
{
	struct json_writer w = json__to(out);

	json__object_begin(&w);
	json__head(&w, s);
	json__key(&w, "processes");
	json__array_begin(&w);
	for (size_t i = 0; i < s->processes_cnt; i++)
		json__process(&w, &s->processes[i]);
	json__array_end(&w);
	json__sums(&w, s);
	json__key(&w, "growers");
	json__array_begin(&w);
	for (size_t i = 0; i < s->rows_cnt; i++)
		json__grower(&w, s, &s->rows[i]);
	json__array_end(&w);
	json__object_end(&w);
	text__add(out, "\n", 1);
}
