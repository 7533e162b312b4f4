// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "table_forecast.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "line.h"
#include "snapshot.h"

#define RATE_MIN_BYTES (100 * 1024)

static enum style style_of(const struct snapshot_process *p)
{
	return p->rss_slope.trend == TREND_GROWING ? STYLE_WARNING : STYLE_DIM;
}

/* Appends a part of the sentence about P, to the next line if it does not fit into this one. */
static void __attribute__((format(printf, 3, 4))) part(struct lines *l, const struct snapshot_process *p, const char *fmt, ...)
{
	char piece[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(piece, sizeof(piece), fmt, args);
	va_end(args);
	if (lines__left(l) < 1 + text__columns(piece) + 1) { /* a semicolon may follow */
		lines__end(l, style_of(p));
		text__addf(&l->line, "   ");
	}
	text__addf(&l->line, " %s", piece);
}

/* "1.2 MiB/min": in the shortest time that gives a number to be compared with the size of a process. */
static char *format_rate(char out[32], double bytes_per_s, double like)
{
	static const struct {
		const char *name;
		int seconds;
	} per[] = {{"s", 1}, {"min", 60}, {"h", 3600}};
	char bytes[16];
	size_t i = 0;

	while (i < 2 && fabs(like) * per[i].seconds < RATE_MIN_BYTES)
		i++;
	snprintf(out, 32, "%s/%s", units__format_bytes(bytes, bytes_per_s * per[i].seconds), per[i].name);
	return out;
}

static const char *name_of(const char *kind)
{
	static const char *const names[][2] = {
		{"cgroup", "cgroup limit"},
		{"cgroup-high", "cgroup's memory.high"},
		{"address-space", "address space limit"},
		{"data", "data limit"},
		{"host", "host's memory"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i][0], kind))
			return names[i][1];
	return kind;
}

static void print_time(struct lines *l, const struct snapshot_process *p)
{
	const struct forecast *f = &p->forecast;
	char at[32], from[32], to[32], bytes[16];

	part(l, p, "%s %s", name_of(p->limit_kind), units__format_bytes(bytes, (double)p->limit_bytes));
	units__format_seconds(at, f->limit_in_s);
	units__format_seconds(from, f->earliest_s);
	units__format_seconds(to, f->latest_s);
	if (!p->limit_headroom_bytes)
		part(l, p, "is reached");
	else if (!isfinite(f->limit_in_s))
		part(l, p, "not reached in years");
	else if (!strcmp(from, to))
		part(l, p, "reached in %s", at);
	else
		part(l, p, "reached in %s (%s - %s)", at, from, to);
	if (p->limit_partial)
		part(l, p, "(there may be a lower one above its cgroup)");
	if (f->restart_every_s > 0) {
		text__addf(&l->line, ";");
		part(l, p, "restart every %s keeps it alive", units__format_seconds(at, f->restart_every_s));
	}
}

static void print_growth(struct lines *l, const struct snapshot_process *p, bool verbose)
{
	const struct slope *s = &p->rss_slope;
	char rate[32], low[32], high[32];

	part(l, p, "RSS +%s", format_rate(rate, s->bytes_per_s, s->bytes_per_s));
	if (verbose)
		part(l, p, "(%s to %s)", format_rate(low, s->low, s->bytes_per_s), format_rate(high, s->high, s->bytes_per_s));
	text__addf(&l->line, ";");
	if (p->limit_kind)
		print_time(l, p);
	else
		part(l, p, "its limit cannot be seen from here");
}

/* Why there is no forecast, and what the limit is. */
static void print_details(struct lines *l, const struct snapshot_process *p)
{
	char bytes[16], low[32], high[32];

	if (p->rss_slope.trend == TREND_UNKNOWN)
		part(l, p, "RSS: no forecast yet");
	else if (p->rss_slope.trend == TREND_NOT_GROWING)
		part(l, p, "RSS does not grow (%s to %s)", format_rate(low, p->rss_slope.low, p->rss_slope.high),
		     format_rate(high, p->rss_slope.high, p->rss_slope.high));
	else
		return;
	text__addf(&l->line, ";");
	part(l, p, "%s", p->limit_kind ? name_of(p->limit_kind) : "its limit cannot be seen from here");
	if (p->limit_kind)
		part(l, p, "%s", units__format_bytes(bytes, (double)p->limit_bytes));
}

void table_forecast__print(struct lines *l, const struct snapshot_process *p, bool verbose)
{
	char bytes[16];

	if (p->gone || (!verbose && (p->rss_slope.trend != TREND_GROWING || !p->limit_kind)))
		return;
	text__addf(&l->line, " ");
	print_details(l, p);
	if (p->rss_slope.trend == TREND_GROWING)
		print_growth(l, p, verbose);
	if (verbose && p->limit_kind) {
		text__addf(&l->line, ";");
		part(l, p, "%s left", units__format_bytes(bytes, (double)p->limit_headroom_bytes));
		if (p->limit_shared_by > 1)
			part(l, p, "for %u processes traced", p->limit_shared_by);
	}
	lines__end(l, style_of(p));
}

void table_forecast__soonest(struct lines *l, const struct snapshot *s)
{
	const struct snapshot_process *soonest = NULL;

	for (size_t i = 0; i < s->processes_cnt; i++) {
		const struct snapshot_process *p = &s->processes[i];

		if (p->gone || !p->limit_kind || p->rss_slope.trend != TREND_GROWING)
			continue;
		if (!soonest || p->forecast.earliest_s < soonest->forecast.earliest_s)
			soonest = p;
	}
	if (!soonest)
		return;
	text__addf(&l->line, "soonest at its limit: pid %d,", (int)soonest->pid);
	print_growth(l, soonest, false);
	lines__end(l, STYLE_WARNING);
}
