// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_schema.c has the same fields in the same order. */
#include "census_view.h"
#include "json_fields.h"
#include "text.h"

const char *census_grade__name(enum census_grade grade)
{
	static const char *const names[] = {[CENSUS_EXACT] = "exact", [CENSUS_NEAR] = "near", [CENSUS_TORN] = "torn"};

	return names[grade];
}

static const char *const frozen_names[] = {
	[CENSUS_FROZEN_CGROUP] = "cgroup", [CENSUS_FROZEN_SIGNAL] = "signal", [CENSUS_FROZEN_BEFORE] = "stopped before"
};

static void json__consistency(struct json_writer *w, const struct census_view *v)
{
	json__key(w, "consistency");
	json__object_begin(w);
	key__string(w, "grade", census_grade__name(v->grade));
	key__int(w, "torn_reads", v->torn);
	key__int(w, "retried_reads", v->retried);
	json__key(w, "ran");
	if (v->ran_known)
		json__bool(w, v->ran);
	else
		json__null(w);
	key__double(w, "reading_s", v->reading_s);
	json__key(w, "frozen_by");
	if (v->frozen)
		json__string(w, frozen_names[v->frozen]);
	else
		json__null(w);
	key__double_if(w, "frozen_s", v->frozen, v->frozen_s);
	json__key(w, "freeze_ended");
	if (v->frozen)
		json__bool(w, v->freeze_ended);
	else
		json__null(w);
	if (v->freeze_error)
		key__string(w, "freeze_error", v->freeze_error);
	json__object_end(w);
	key__string(w, "coverage", v->coverage_note ? "partial" : "full");
	if (v->coverage_note)
		key__string(w, "coverage_note", v->coverage_note);
}

static void json__sample(struct json_writer *w, const struct census_view *v)
{
	json__key(w, "sample");
	if (!v->sample) {
		json__null(w);
		return;
	}
	json__object_begin(w);
	key__double(w, "fraction", v->sample);
	key__int(w, "read", v->clusters_read);
	key__int(w, "of", v->clusters);
	json__object_end(w);
}

static void json__news(struct json_writer *w, const struct census_news_view *n)
{
	json__key(w, "new_since");
	if (!n->wanted) {
		json__null(w);
		return;
	}
	json__object_begin(w);
	key__double(w, "mark_s", n->mark_s);
	key__double_if(w, "survived_s", n->survived_s > 0, n->survived_s);
	key__int_if(w, "survived_full_gcs", n->survived_gcs, n->survived_gcs);
	key__int_if(w, "full_gcs", n->full_gcs_known, n->full_gcs);
	json__object_end(w);
}

static void json__type(struct json_writer *w, const struct census_type_row *r)
{
	json__object_begin(w);
	key__string(w, "type", r->type);
	key__int(w, "objects", r->objects);
	key__int(w, "tracked", r->tracked);
	key__int(w, "bytes", r->bytes);
	key__int(w, "owned_bytes", r->owned_bytes);
	key__int(w, "largest_bytes", r->largest_bytes);
	key__int(w, "objects_error", r->objects_error);
	key__int(w, "bytes_error", r->bytes_error);
	key__int(w, "owned_bytes_error", r->owned_bytes_error);
	key__int_if(w, "new_objects", r->new_known, r->new_objects);
	key__int_if(w, "new_bytes", r->new_known, r->new_bytes);
	key__int_if(w, "new_owned_bytes", r->new_known, r->new_owned_bytes);
	key__int_if(w, "delta_objects", r->delta_known, r->delta_objects);
	key__int_if(w, "delta_bytes", r->delta_known, r->delta_bytes);
	key__int_if(w, "delta_owned_bytes", r->delta_known, r->delta_owned_bytes);
	key__double_if(w, "bytes_per_s", r->delta_known, r->bytes_per_s);
	key__int_if(w, "uncollectable", r->uncollectable >= 0, r->uncollectable);
	key__string(w, "verdict", verdict__name(r->verdict));
	json__object_end(w);
}

static void json__memory(struct json_writer *w, const struct census_memory_view *m)
{
	json__key(w, "memory");
	json__object_begin(w);
	key__int_if(w, "rss_bytes", m->known, m->rss_bytes);
	key__int_if(w, "python_live_bytes", m->python_known, m->python_live_bytes);
	key__int_if(w, "python_free_bytes", m->python_known, m->python_free_bytes);
	key__int_if(w, "libc_used_bytes", m->libc_known, m->libc_used_bytes);
	key__int_if(w, "libc_free_bytes", m->libc_known, m->libc_free_bytes);
	key__int_if(w, "stacks_bytes", m->known, m->stacks_bytes);
	key__int_if(w, "other_anon_bytes", m->known, m->other_anon_bytes);
	key__int_if(w, "file_bytes", m->known, m->file_bytes);
	json__object_end(w);
}

static void json__arenas(struct json_writer *w, const struct census_arenas_view *a)
{
	json__key(w, "arenas");
	if (!a->known) {
		json__null(w);
		return;
	}
	json__object_begin(w);
	key__int(w, "bytes_each", a->bytes_each);
	key__int(w, "count", a->cnt);
	key__int(w, "sparse", a->sparse_cnt);
	key__int(w, "sparse_live_bytes", a->sparse_live_bytes);
	json__key(w, "kept_by");
	json__array_begin(w);
	for (size_t i = 0; i < sizeof(a->kept_by) / sizeof(a->kept_by[0]) && a->kept_by[i].objects; i++) {
		json__object_begin(w);
		key__string(w, "type", a->kept_by[i].type);
		key__int(w, "objects", a->kept_by[i].objects);
		json__object_end(w);
	}
	json__array_end(w);
	json__object_end(w);
}

void census_view__json(const struct census_view *v, struct text *out)
{
	struct json_writer w = json__to(out);

	json__object_begin(&w);
	key__string(&w, "schema", "pyleak-bpf/census/1");
	key__time(&w, "time", v->time_unix_ns);
	key__double(&w, "elapsed_s", v->elapsed_s);
	key__double_if(&w, "interval_s", v->interval_s > 0, v->interval_s);
	key__int(&w, "pid", v->pid);
	if (v->core)
		key__string(&w, "core", v->core);
	key__string(&w, "comm", v->comm);
	key__string(&w, "python", v->python);
	json__consistency(&w, v);
	json__sample(&w, v);
	json__news(&w, &v->news);
	json__key(&w, "types");
	json__array_begin(&w);
	for (size_t i = 0; i < v->rows_cnt; i++)
		json__type(&w, &v->rows[i]);
	json__array_end(&w);
	json__key(&w, "hidden");
	json__object_begin(&w);
	key__int(&w, "types", v->hidden_types);
	key__int(&w, "objects", v->hidden_objects);
	key__int(&w, "owned_bytes", v->hidden_bytes);
	json__object_end(&w);
	json__memory(&w, &v->memory);
	json__arenas(&w, &v->arenas);
	json__object_end(&w);
	text__add(out, "\n", 1);
}
