// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is read first comes first: does it leak, is the answer sound, where is it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "intern.h"
#include "snapshot.h"
#include "table.h"
#include "table_forecast.h"
#include "table_row.h"

#define PROCESSES_SHOWN 4

static void table__time(struct lines *l, const struct snapshot *s)
{
	uint64_t seconds = s->time_unix_ns / 1000000000;

	text__addf(&l->line, "%02u:%02u:%02uZ", (unsigned int)(seconds / 3600 % 24), (unsigned int)(seconds / 60 % 60),
		   (unsigned int)(seconds % 60));
	text__addf(&l->line, "  after %.0f s%s  %s mode", s->elapsed_s, s->final ? ", last report" : "", s->mode ? s->mode : "?");
	if (s->target_cpu_pct.known)
		text__addf(&l->line, "  tracing costs %.1f %% CPU", s->target_cpu_pct.value);
	else
		text__addf(&l->line, "  tracing cost unknown");
	lines__end(l, STYLE_BOLD);
}

/* What budget mode has to go by. */
static void table__sampling(struct lines *l, const struct snapshot *s)
{
	const struct snapshot_sampling *m = &s->sampling;

	if (!m->known)
		return;
	if (m->fraction >= 1) {
		text__addf(&l->line, "every allocation was recorded");
	} else {
		text__addf(&l->line, "sampled %.3g %% of the work in %" PRIu64 " bursts, ", m->fraction * 100, m->bursts);
		if (m->lookouts)
			text__addf(&l->line, "%" PRIu64 " lookouts, ", m->lookouts);
		text__addf(&l->line, "%" PRIu64 " blocks followed", m->samples);
	}
	text__addf(&l->line, "; mean cost %.2g %% CPU", s->target_cpu_mean_pct.value);
	if (m->longest_pause_s > 0)
		text__addf(&l->line, ", slowed for %.1f ms at most", m->longest_pause_s * 1000);
	lines__end(l, STYLE_DIM);
}

static void table__outstanding(struct lines *l, const struct snapshot *s)
{
	char bytes[16];

	text__addf(&l->line, "outstanding since attach: %s%s in %" PRId64 " objects", s->sampling.known && s->sampling.fraction < 1 ? "about " : "",
		   units__format_bytes(bytes, (double)s->outstanding_bytes), s->outstanding_objects);
	lines__end(l, STYLE_PLAIN);
}

static void table__process(struct lines *l, const struct snapshot_process *p)
{
	char rss[16], change[16];

	text__addf(&l->line, "pid %d ", (int)p->pid);
	if (p->comm)
		lines__foreign(l, p->comm, strlen(p->comm));
	text__addf(&l->line, "  Python ");
	lines__foreign(l, p->python ? p->python : "?", p->python ? strlen(p->python) : 1);
	if (p->gone) {
		text__addf(&l->line, "  has ended");
		lines__end(l, STYLE_WARNING);
		return;
	}
	if (p->rss_bytes == SNAPSHOT_UNKNOWN_BYTES)
		text__addf(&l->line, "  RSS ?");
	else
		text__addf(&l->line, "  RSS %s", units__format_bytes(rss, (double)p->rss_bytes));
	if (p->rss_bytes != SNAPSHOT_UNKNOWN_BYTES && p->rss_at_attach_bytes != SNAPSHOT_UNKNOWN_BYTES) {
		double by = (double)(p->rss_bytes - p->rss_at_attach_bytes);

		text__addf(&l->line, " (%s%s)", by >= 0 ? "+" : "", units__format_bytes(change, by));
	}
	if (p->gc_known)
		text__addf(&l->line, "  gc %" PRIu64 "/%" PRIu64 "/%" PRIu64, p->gc_collections[0], p->gc_collections[1],
			   p->gc_collections[2]);
	if (p->gc_known && p->gc_uncollectable)
		text__addf(&l->line, ", %" PRIu64 " uncollectable", p->gc_uncollectable);
	lines__end(l, STYLE_PLAIN);
}

/* Enough of an id that is all hex; a name is shown whole. */
static size_t id_len(const char *id)
{
	size_t len = strlen(id);

	return len == 64 && strspn(id, "0123456789abcdef") == len ? 12 : len;
}

static void table__container(struct lines *l, const struct snapshot_process *p)
{
	if (p->gone || (!p->container && !p->pod_uid))
		return;
	text__addf(&l->line, "  in");
	if (p->container_runtime) {
		text__addf(&l->line, " ");
		lines__foreign(l, p->container_runtime, strlen(p->container_runtime));
	}
	if (p->container) {
		text__addf(&l->line, " container ");
		lines__foreign(l, p->container, id_len(p->container));
	}
	if (p->pod_uid) {
		text__addf(&l->line, "%s pod ", p->container ? " of" : "");
		lines__foreign(l, p->pod_uid, strlen(p->pod_uid));
	}
	lines__end(l, STYLE_PLAIN);
}

static void table__processes(struct lines *l, const struct snapshot *s, bool verbose)
{
	size_t shown = verbose || s->processes_cnt <= PROCESSES_SHOWN ? s->processes_cnt : PROCESSES_SHOWN;

	for (size_t i = 0; i < shown; i++) {
		table__process(l, &s->processes[i]);
		table__container(l, &s->processes[i]);
		if (shown == s->processes_cnt)
			table_forecast__print(l, &s->processes[i], verbose);
	}
	if (shown < s->processes_cnt) {
		text__addf(&l->line, "… %zu more processes (-v shows all)", s->processes_cnt - shown);
		lines__end(l, STYLE_DIM);
		table_forecast__soonest(l, s);
	}
}

/* The sentence that answers the question. */
static void table__answer(struct lines *l, const struct snapshot *s)
{
	const struct growth_totals *t = &s->totals;
	uint32_t growing = t->verdicts[VERDICT_GROWING], warming = t->verdicts[VERDICT_WARMING];
	enum style style = growing ? STYLE_ALARM : STYLE_BOLD;
	char rate[16];
	double sum = 0;

	for (size_t i = 0; i < s->rows_cnt; i++)
		if (s->rows[i].verdict == VERDICT_GROWING)
			sum += s->rows[i].bytes_per_s;
	if (growing)
		text__addf(&l->line, "%u of %u rows GROWING, those shown by %s/s", growing, t->rows, units__format_bytes(rate, sum));
	else if (!s->processes_cnt)
		text__addf(&l->line, "no Python process is traced yet");
	else if (t->intervals_missing)
		text__addf(&l->line, "no verdict yet: %u more interval%s (%.0f s)", t->intervals_missing,
			   t->intervals_missing == 1 ? "" : "s", ceil(t->intervals_missing * s->interval_s));
	else if (!t->rows)
		text__addf(&l->line, "nothing grows: all that was allocated since the attach has been freed");
	else if (warming)
		text__addf(&l->line, "nothing grows steadily; %u of %u rows still warming up", warming, t->rows);
	else
		text__addf(&l->line, "nothing grows (%u rows)", t->rows);
	lines__end(l, style);
}

static void table__loss(struct lines *l, uint64_t cnt, const char *what)
{
	if (!cnt)
		return;
	text__addf(&l->line, "LOST %" PRIu64 " %s", cnt, what);
	lines__end(l, STYLE_WARNING);
}

/* What makes the numbers below less than the truth. */
static void table__warnings(struct lines *l, const struct snapshot *s)
{
	table__loss(l, s->lost_events, "events: bytes and objects may be off by as many blocks");
	table__loss(l, s->lost_stacks, "stacks: their memory is counted, but not where it belongs");
	for (size_t i = 0; i < s->lost_more_cnt; i++)
		table__loss(l, s->lost_more[i].value, s->lost_more[i].sentence ? s->lost_more[i].sentence : s->lost_more[i].name);
	for (size_t i = 0; i < s->processes_cnt; i++) {
		const struct snapshot_process *p = &s->processes[i];

		if (!p->coverage_partial)
			continue;
		text__addf(&l->line, "PARTIAL pid %d, more may grow than is seen: ", (int)p->pid);
		if (p->coverage_note)
			lines__foreign(l, p->coverage_note, strlen(p->coverage_note));
		lines__end(l, STYLE_WARNING);
	}
}

void table__print(const struct snapshot *s, const struct table_opts *opts, struct text *out)
{
	struct lines l = {.out = out, .width = opts->width, .color = opts->color};

	table__time(&l, s);
	table__answer(&l, s);
	table__warnings(&l, s);
	table__processes(&l, s, opts->verbose);
	table__sampling(&l, s);
	table__outstanding(&l, s);
	if (s->rows_cnt)
		table_row__head(&l);
	for (size_t i = 0; i < s->rows_cnt; i++)
		table_row__print(&l, s, &s->rows[i], opts->verbose);
	lines__end(&l, STYLE_PLAIN);
	lines__free(&l);
}
