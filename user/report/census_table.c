// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "census_view.h"
#include "line.h"
#include "table.h"
#include "text.h"

static void add_bytes(struct text *t, int columns, double bytes, bool sign, const char *unit)
{
	char number[16], out[32];

	snprintf(out, sizeof(out), "%s%s%s", sign && bytes >= 0.5 ? "+" : "", units__format_bytes(number, bytes), unit);
	text__addf(t, " %*s", columns, out);
}

static void print_frozen(struct lines *l, const struct census_view *v)
{
	static const char *const by[] = {[CENSUS_FROZEN_CGROUP] = "its cgroup", [CENSUS_FROZEN_SIGNAL] = "SIGSTOP"};

	if (v->freeze_error) {
		text__addf(&l->line, "; it could not be frozen: %s", v->freeze_error);
		return;
	}
	if (v->frozen == CENSUS_FROZEN_BEFORE)
		text__addf(&l->line, "; it was stopped before");
	if (v->frozen != CENSUS_FROZEN_CGROUP && v->frozen != CENSUS_FROZEN_SIGNAL)
		return;
	text__addf(&l->line, "; frozen for %.1f ms (%s)", v->frozen_s * 1e3, by[v->frozen]);
	if (v->freeze_ended)
		text__addf(&l->line, ", not to the end: --max-pause was over");
}

static void print_head(struct lines *l, const struct census_view *v)
{
	time_t seconds = (time_t)(v->time_unix_ns / 1000000000);
	char date[40] = "", bytes[16], read[16];
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(date, sizeof(date), "%H:%M:%SZ", &tm);
	text__addf(&l->line, "%s  %spid %d ", date, v->core ? "core of " : "", (int)v->pid);
	if (v->comm)
		lines__foreign(l, v->comm, strlen(v->comm));
	text__addf(&l->line, "  Python %s  %" PRIu64 " objects, %s", v->python ? v->python : "?", v->objects, units__format_bytes(bytes, v->bytes));
	if (v->interval_s > 0)
		text__addf(&l->line, "  after %.0f s", v->elapsed_s);
	lines__end(l, STYLE_BOLD);
	text__addf(&l->line, "  read %s in %.0f ms: ", units__format_bytes(read, v->read_bytes), v->reading_s * 1e3);
	switch (v->grade) {
	case CENSUS_EXACT:
		text__addf(&l->line, v->core ? "exact, a core is a still picture" : "exact, the process did not run meanwhile");
		break;
	case CENSUS_NEAR:
		text__addf(&l->line, "near, %s", v->ran_known ? "the process ran meanwhile" : "the process may have run meanwhile");
		break;
	case CENSUS_TORN:
		text__addf(&l->line, "torn, %" PRIu64 " pools of objects changed faster than they could be read", v->torn);
		break;
	}
	print_frozen(l, v);
	if (v->sample)
		text__addf(&l->line, "; a sample, %" PRIu64 " of %" PRIu64 " %s", v->clusters_read, v->clusters,
			   v->memory.python_known ? "pools" : "stretches of 16 KiB");
	if (v->retried)
		text__addf(&l->line, "; %" PRIu64 " copies made again", v->retried);
	lines__end(l, v->grade == CENSUS_TORN ? STYLE_WARNING : STYLE_PLAIN);
	if (v->coverage_note) {
		text__addf(&l->line, "  PARTIAL, there is more than is seen: ");
		lines__foreign(l, v->coverage_note, strlen(v->coverage_note));
		lines__end(l, STYLE_WARNING);
	}
}

static void add_error(struct text *t, int64_t error)
{
	char number[32];

	snprintf(number, sizeof(number), "%" PRId64, error);
	text__addf(t, " %*s±%s", strlen(number) > 8 ? 0 : (int)(8 - strlen(number)), "", number);
}

static void add_bytes_error(struct text *t, int64_t error)
{
	char number[16];

	units__format_bytes(number, error);
	text__addf(t, " %*s±%s", strlen(number) > 10 ? 0 : (int)(10 - strlen(number)), "", number);
}

static void end_row(struct lines *l, const struct census_type_row *r)
{
	const char *name = r->type ? r->type : "(type unknown)";
	struct text type = {0};

	text__addf(&l->line, " ");
	text__add_clean(&type, name, strlen(name));
	if (r->uncollectable > 0)
		text__addf(&type, " (%" PRId64 " uncollectable)", r->uncollectable);
	text__add_end(&l->line, type.s ? type.s : "", lines__left(l));
	text__free(&type);
	lines__end(l, r->verdict == VERDICT_GROWING ? STYLE_ALARM : STYLE_PLAIN);
}

static void print_row(struct lines *l, const struct census_view *v, const struct census_type_row *r)
{
	char change[32];

	text__addf(&l->line, "%9" PRId64, r->objects);
	if (v->sample)
		add_error(&l->line, r->objects_error);
	if (v->interval_s > 0) {
		snprintf(change, sizeof(change), "%+" PRId64, r->delta_known ? r->delta_objects : 0);
		text__addf(&l->line, " %9s", change);
	}
	add_bytes(&l->line, 11, r->bytes, false, "");
	add_bytes(&l->line, 11, r->owned_bytes, false, "");
	if (v->sample)
		add_bytes_error(&l->line, r->owned_bytes_error);
	text__addf(&l->line, " %5.1f%%", v->bytes ? 100.0 * r->owned_bytes / v->bytes : 0);
	if (v->interval_s > 0) {
		add_bytes(&l->line, 12, r->delta_known ? r->delta_owned_bytes : 0, true, "");
		add_bytes(&l->line, 14, r->delta_known ? r->bytes_per_s : 0, true, "/s");
		text__addf(&l->line, " %-7s", r->verdict == VERDICT_GROWING ? "GROWING" : verdict__name(r->verdict));
	} else {
		add_bytes(&l->line, 11, r->largest_bytes, false, "");
	}
	end_row(l, r);
}

static void print_news(struct lines *l, const struct census_news_view *n)
{
	text__addf(&l->line, "  new since the mark %.0f s ago", n->mark_s);
	if (n->survived_gcs)
		text__addf(&l->line, ", survived %u full collections", n->survived_gcs);
	if (n->survived_s > 0)
		text__addf(&l->line, "%s there for %.1f s at least", n->survived_gcs ? ":" : ",", n->survived_s);
	if (n->full_gcs_known)
		text__addf(&l->line, "; %" PRIu64 " full collections since", n->full_gcs);
	lines__end(l, STYLE_PLAIN);
}

static void print_new_row(struct lines *l, const struct census_view *v, const struct census_type_row *r)
{
	char change[32];

	text__addf(&l->line, "%9" PRId64, r->new_objects);
	if (v->interval_s > 0) {
		snprintf(change, sizeof(change), "%+" PRId64, r->delta_known ? r->delta_new_objects : 0);
		text__addf(&l->line, " %9s", change);
	}
	add_bytes(&l->line, 11, r->new_bytes, false, "");
	add_bytes(&l->line, 11, r->new_owned_bytes, false, "");
	text__addf(&l->line, " %9" PRId64, r->objects);
	if (v->interval_s > 0)
		text__addf(&l->line, " %-7s", r->verdict == VERDICT_GROWING ? "GROWING" : verdict__name(r->verdict));
	end_row(l, r);
}

static void print_new_types(struct lines *l, const struct census_view *v)
{
	char bytes[16];

	text__addf(&l->line, "%9s", "new");
	if (v->interval_s > 0)
		text__addf(&l->line, " %9s", "change");
	text__addf(&l->line, " %11s %11s %9s", "bytes", "with owned", "of");
	if (v->interval_s > 0)
		text__addf(&l->line, " %-7s", "verdict");
	text__addf(&l->line, " type");
	lines__end(l, STYLE_BOLD);
	for (size_t i = 0; i < v->rows_cnt; i++)
		print_new_row(l, v, &v->rows[i]);
	if (!v->rows_cnt && !v->hidden_types) {
		text__addf(&l->line, "%9s", "none");
		lines__end(l, STYLE_DIM);
	}
	if (v->hidden_types) {
		text__addf(&l->line, "and %" PRIu64 " types more: %" PRIu64 " new objects, %s", v->hidden_types, v->hidden_objects,
			   units__format_bytes(bytes, v->hidden_bytes));
		lines__end(l, STYLE_DIM);
	}
}

static void print_types(struct lines *l, const struct census_view *v)
{
	char bytes[16];

	text__addf(&l->line, "%9s", "objects");
	if (v->sample)
		text__addf(&l->line, " %9s", "95 %");
	if (v->interval_s > 0)
		text__addf(&l->line, " %9s", "change");
	text__addf(&l->line, " %11s %11s", "bytes", "with owned");
	if (v->sample)
		text__addf(&l->line, " %11s", "95 %");
	text__addf(&l->line, " %6s", "share");
	if (v->interval_s > 0)
		text__addf(&l->line, " %12s %14s %-7s type", "change", "rate", "verdict");
	else
		text__addf(&l->line, " %11s type", "largest");
	lines__end(l, STYLE_BOLD);
	for (size_t i = 0; i < v->rows_cnt; i++)
		print_row(l, v, &v->rows[i]);
	if (v->hidden_types) {
		text__addf(&l->line, "and %" PRIu64 " types more: %" PRIu64 " objects, %s", v->hidden_types, v->hidden_objects,
			   units__format_bytes(bytes, v->hidden_bytes));
		lines__end(l, STYLE_DIM);
	}
}

static void print_share(struct lines *l, const struct census_memory_view *m, bool known, uint64_t bytes, const char *what)
{
	if (!known)
		return;
	text__addf(&l->line, "  ");
	add_bytes(&l->line, 11, bytes, false, "");
	text__addf(&l->line, " %5.1f%%  %s", m->rss_bytes ? 100.0 * bytes / m->rss_bytes : 0, what);
	lines__end(l, STYLE_PLAIN);
}

static void print_memory(struct lines *l, const struct census_memory_view *m)
{
	char bytes[16];

	if (!m->known)
		return;
	text__addf(&l->line, "RSS %s is", units__format_bytes(bytes, m->rss_bytes));
	lines__end(l, STYLE_BOLD);
	print_share(l, m, m->python_known, m->python_live_bytes, "live in Python's pools");
	print_share(l, m, m->python_known, m->python_free_bytes, "free in Python's pools");
	print_share(l, m, m->libc_known, m->libc_used_bytes, "in use of the C library's heap: what is over 512 bytes, C extensions");
	print_share(l, m, m->libc_known, m->libc_free_bytes, "kept free by the C library's heap");
	print_share(l, m, true, m->stacks_bytes, "stacks");
	print_share(l, m, true, m->other_anon_bytes, "other anonymous memory");
	print_share(l, m, true, m->file_bytes, "files: interpreter, libraries, shared memory");
}

static void print_arenas(struct lines *l, const struct census_arenas_view *a)
{
	char free[16], live[16];

	if (!a->known || !a->sparse_cnt)
		return;
	text__addf(&l->line, "%" PRIu64 " of %" PRIu64 " arenas of Python's pools are less than a quarter full: up to %s that cannot be given back for %s of ",
		   a->sparse_cnt, a->cnt, units__format_bytes(free, a->sparse_cnt * a->bytes_each - a->sparse_live_bytes),
		   units__format_bytes(live, a->sparse_live_bytes));
	for (size_t i = 0; i < sizeof(a->kept_by) / sizeof(a->kept_by[0]) && a->kept_by[i].objects; i++) {
		const char *name = a->kept_by[i].type ? a->kept_by[i].type : "(type unknown)";

		text__addf(&l->line, "%s%" PRId64 " ", i ? ", " : "", a->kept_by[i].objects);
		lines__foreign(l, name, strlen(name));
	}
	lines__end(l, STYLE_PLAIN);
}

void census_view__table(const struct census_view *v, const struct table_opts *opts, struct text *out)
{
	struct lines l = {.out = out, .width = opts->width, .color = opts->color};

	print_head(&l, v);
	if (v->news.wanted) {
		print_news(&l, &v->news);
		print_new_types(&l, v);
	} else {
		print_types(&l, v);
	}
	print_memory(&l, &v->memory);
	print_arenas(&l, &v->arenas);
	lines__end(&l, STYLE_PLAIN);
	lines__free(&l);
}
