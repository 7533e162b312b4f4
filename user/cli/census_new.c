// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>

#include "census_run.h"
#include "clock.h"
#include "commands.h"
#include "log.h"
#include "options.h"

enum {
	/* How often collections are looked for, and how many times as long as a look takes there is none after it. */
	GCS_EVERY_MS = 50,
	REST = 4,
};

static int full_gcs(const struct subject *s, uint64_t *cnt)
{
	struct py_gc_stats stats;
	int err = py_interp__gc_stats(&s->target.py, &stats);

	*cnt = err ? 0 : stats.collections[2];
	return err;
}

/* A look that is not shown: from then on things may be there. */
static int look(struct run *r, struct subject *s)
{
	struct census_look look;
	int code = census_run__take(r, s);

	if (code || s->ended)
		return code;
	full_gcs(s, &look.full_gcs);
	look.reading = census__reading(s->census);
	look.end_ns = s->end_ns;
	if (census_mark__add(&s->mark, &look)) {
		log_error("out of memory");
		return EXIT_INTERNAL;
	}
	log_debug("process %d: looked at after %llu full collections", s->target.proc.pid, (unsigned long long)look.full_gcs);
	return EXIT_FINE;
}

static int look_at_all(struct run *r)
{
	int code = EXIT_FINE;

	for (size_t i = 0; i < r->subject_cnt && !code; i++)
		if (!r->subjects[i].ended)
			code = look(r, &r->subjects[i]);
	return code;
}

static bool all_ended(const struct run *r)
{
	for (size_t i = 0; i < r->subject_cnt; i++)
		if (!r->subjects[i].ended)
			return false;
	return true;
}

/* Which objects are new now: not there at the mark, and there at the look that decides. */
static void choose_new(const struct run *r, struct subject *s)
{
	const struct options *o = r->o;
	const struct census_look *mark = s->mark.looks, *last;
	uint64_t now_ns = clock__now_ns(), gcs;
	struct census_options options = r->census_options;

	full_gcs(s, &gcs);
	s->news = (struct census_news){ .mark_ns = mark->end_ns, .full_gcs = gcs - mark->full_gcs };
	options.new_from = mark->reading + 1;
	options.new_to = UINT32_MAX;
	if (o->survived_s || o->survived_gcs) {
		/* END_NS is of the mark, too: without another look nothing is known to have survived. */
		last = census_mark__last(&s->mark, o->survived_s ? now_ns - (uint64_t)(o->survived_s * 1e9) : UINT64_MAX,
					 o->survived_gcs ? gcs < o->survived_gcs ? 0 : gcs - o->survived_gcs : UINT64_MAX);
		options.new_to = last->reading;
		s->news.since_ns = last->end_ns;
	}
	census__set_options(s->census, &options);
}

static int report_all(struct run *r)
{
	int code = EXIT_FINE;

	for (size_t i = 0; i < r->subject_cnt && !code; i++) {
		struct subject *s = &r->subjects[i];

		if (s->ended)
			continue;
		choose_new(r, s);
		code = look(r, s);
		if (!code && !s->ended)
			code = census_run__show(r, s);
	}
	return code;
}

/* Has there been a full collection since it was looked at? */
static bool has_collected(const struct subject *s)
{
	uint64_t gcs;

	return !s->ended && s->mark.cnt && !full_gcs(s, &gcs) && gcs != s->mark.looks[s->mark.cnt - 1].full_gcs &&
	       clock__now_ns() >= s->end_ns + REST * (s->end_ns - s->begin_ns);
}

static int look_where_collected(struct run *r)
{
	int code = EXIT_FINE;

	for (size_t i = 0; i < r->subject_cnt && !code; i++)
		if (has_collected(&r->subjects[i]))
			code = look(r, &r->subjects[i]);
	return code;
}

/* So long that what is there by then has survived when END_NS comes. */
static uint64_t look_ns(const struct run *r, uint64_t end_ns)
{
	uint64_t longest_ns = 0, survived_ns = r->o->survived_s * 1e9;

	for (size_t i = 0; i < r->subject_cnt; i++)
		if (r->subjects[i].end_ns - r->subjects[i].begin_ns > longest_ns)
			longest_ns = r->subjects[i].end_ns - r->subjects[i].begin_ns;
	return end_ns - survived_ns - longest_ns * (r->subject_cnt + 1);
}

/* Until END_NS, with the looks that are needed on the way. *GOING false: a signal came, or all have ended. */
static int watch(struct run *r, uint64_t end_ns, bool *going)
{
	int code = EXIT_FINE;

	/* Else what was shown before was such a look. */
	if (r->o->survived_s && look_ns(r, end_ns) > clock__now_ns()) {
		*going = census_run__wait(r, look_ns(r, end_ns));
		code = *going ? look_at_all(r) : EXIT_FINE;
	}
	while (r->o->survived_gcs && !code && *going && clock__now_ns() + GCS_EVERY_MS * 1000000ULL < end_ns) {
		*going = census_run__wait(r, clock__now_ns() + GCS_EVERY_MS * 1000000ULL);
		code = look_where_collected(r);
	}
	*going = *going && !code && census_run__wait(r, end_ns) && !all_ended(r);
	return code;
}

static int check_collections(const struct run *r)
{
	uint64_t cnt;

	for (size_t i = 0; i < r->subject_cnt; i++) {
		if (!r->o->survived_gcs || !full_gcs(&r->subjects[i], &cnt))
			continue;
		log_error("process %d: this interpreter does not count its collections: use a time, --survived 20s", r->subjects[i].target.proc.pid);
		return EXIT_UNSUPPORTED;
	}
	return EXIT_FINE;
}

int census_run__new(struct run *r)
{
	uint64_t every_ns = r->o->every_s * 1e9, next_ns, end_ns = UINT64_MAX;
	bool going = true;
	int code = check_collections(r);

	if (!code)
		code = look_at_all(r);
	if (!code && !all_ended(r))
		log_warn("marked; what is new then is shown in %g s. Ctrl-C stops.", r->o->new_since_s);
	if (r->o->duration_s)
		end_ns = clock__now_ns() + (uint64_t)(r->o->duration_s * 1e9);
	next_ns = clock__now_ns() + (uint64_t)(r->o->new_since_s * 1e9);
	while (going && !code) {
		code = watch(r, next_ns, &going);
		if (!code && going)
			code = report_all(r);
		next_ns += every_ns;
		if (next_ns < clock__now_ns())
			next_ns = clock__now_ns() + every_ns;
		going = going && every_ns && next_ns <= end_ns && !all_ended(r);
	}
	return code;
}
