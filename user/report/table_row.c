// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "intern.h"
#include "snapshot.h"
#include "stacks.h"
#include "table.h"
#include "table_row.h"

/* "4096", "12.3M": at most 9 characters */
static char *format_count(char out[32], int64_t cnt)
{
	static const char suffixes[] = "kMGTPE";
	double value = (double)cnt;
	int i = -1;

	if (cnt > -10000000 && cnt < 100000000) {
		snprintf(out, 32, "%" PRId64, cnt);
		return out;
	}
	while (fabs(value) >= 999.95 && i < 5) {
		value /= 1000;
		i++;
	}
	snprintf(out, 32, "%.1f%c", value, suffixes[i]);
	return out;
}

/* A sign in front; room for the largest of both is 16 + 4. */
static void add_signed(struct text *t, int columns, double bytes, const char *unit)
{
	char number[16], out[32];

	snprintf(out, sizeof(out), "%s%s%s", bytes >= 0.5 ? "+" : "", units__format_bytes(number, bytes), unit);
	text__addf(t, " %*s", columns, out);
}

void table_row__head(struct lines *l)
{
	text__addf(&l->line, "%3s %11s %9s %12s %14s %-7s %s", "#", "bytes", "objects", "change", "rate", "verdict", "type");
	lines__end(l, STYLE_BOLD);
}

static void table_row__numbers(struct lines *l, const struct snapshot *s, const struct growth_row *r)
{
	char bytes[16], objects[32], error[32] = "";
	struct text type = {0};
	size_t len, left;
	const char *name = intern__get(s->strings, r->type, &len);

	text__addf(&l->line, "%3u %11s %9s", r->rank, units__format_bytes(bytes, (double)r->bytes), format_count(objects, r->objects));
	add_signed(&l->line, 12, (double)r->delta_bytes, "");
	add_signed(&l->line, 14, r->bytes_per_s, "/s");
	text__addf(&l->line, " %-7s ", r->verdict == VERDICT_GROWING ? "GROWING" : verdict__name(r->verdict));
	text__add_clean(&type, len ? name : "(type unknown)", len ? len : strlen("(type unknown)"));
	/* the class, at the end, says more than the package */
	if (r->bytes_error > 0 && r->bytes > 0 && r->stack)
		snprintf(error, sizeof(error), " (±%.0f %%)", fmin(r->bytes_error / (double)r->bytes * 100, 999));
	left = lines__left(l);
	text__add_end(&l->line, type.s ? type.s : "", left == SIZE_MAX ? left : left > strlen(error) ? left - strlen(error) : 0);
	text__addf(&l->line, "%s", error);
	text__free(&type);
	lines__end(l, r->verdict == VERDICT_GROWING ? STYLE_ALARM : STYLE_PLAIN);
}

/* "file:line function": of a long path the end is kept, and the line always. */
static void add_frame(struct lines *l, const struct snapshot *s, const struct frame *f)
{
	struct text file = {0}, function = {0};
	size_t len, left = lines__left(l), half = left / 2;
	const char *name = intern__get(s->strings, f->file, &len);
	char line[16] = ":?";

	if (f->line)
		snprintf(line, sizeof(line), ":%u", f->line);
	text__add_clean(&file, len ? name : "(file unknown)", len ? len : strlen("(file unknown)"));
	name = intern__get(s->strings, f->function, &len);
	text__add_clean(&function, len ? name : "?", len ? len : 1);
	if (file.failed || function.failed) {
		l->line.failed = true;
		goto out;
	}
	if (left != SIZE_MAX) {
		size_t wanted = text__columns(function.s), fixed = strlen(line) + 1;

		/* the function yields to half of the line, then the path to what is left */
		if (wanted > half)
			wanted = half;
		left = left > wanted + fixed ? left - wanted - fixed : 0;
	}
	text__add_end(&l->line, file.s, left);
	text__addf(&l->line, "%s ", line);
	text__add_start(&l->line, function.s, lines__left(l));
	if (f->flags & FRAME_STALE)
		text__addf(&l->line, " (code since replaced)");
out:
	text__free(&file);
	text__free(&function);
}

static void table_row__place(struct lines *l, const struct snapshot *s, const struct growth_row *r, const struct frame *f)
{
	const struct snapshot_process *p = snapshot__process(s, r->proc);

	text__addf(&l->line, "    ");
	if (s->group == GROUP_CONTAINER || s->group == GROUP_BINARY) {
		const char *name = !p ? NULL : s->group == GROUP_BINARY ? p->module : p->container;

		lines__foreign(l, name ? name : "no container", name ? strlen(name) : strlen("no container"));
		lines__end(l, STYLE_BOLD);
		text__addf(&l->line, "    ");
	}
	if (s->processes_cnt > 1 && p)
		text__addf(&l->line, "pid %d ", (int)p->pid);
	if (s->group == GROUP_TYPE || s->group >= GROUP_PROCESS)
		text__addf(&l->line, "mostly ");
	if (f)
		add_frame(l, s, f);
	else
		text__addf(&l->line, "%s", !r->stack && s->sampling.known ? "(line not known yet: its allocation is in no sample)" : "(no Python stack)");
	if (r->parts > 1 && s->group != GROUP_STACK)
		text__addf(&l->line, "  (%u stacks and types)", r->parts);
	lines__end(l, STYLE_BOLD);
}

static void table_row__frames(struct lines *l, const struct snapshot *s, const struct frame *frames, size_t cnt, size_t shown,
			      const char *prefix)
{
	for (size_t i = 0; i < cnt && i < shown; i++) {
		text__addf(&l->line, "%s", prefix);
		add_frame(l, s, &frames[i]);
		lines__end(l, STYLE_DIM);
	}
	if (cnt > shown) {
		text__addf(&l->line, "      … %zu more (-v shows all)", cnt - shown);
		lines__end(l, STYLE_DIM);
	} else if (cnt && frames[cnt - 1].flags & FRAME_CUT) {
		text__addf(&l->line, "      … the rest is beyond --depth, or could not be followed");
		lines__end(l, STYLE_DIM);
	}
}

void table_row__print(struct lines *l, const struct snapshot *s, const struct growth_row *r, bool verbose)
{
	bool by_frame = s->group == GROUP_LINE || s->group == GROUP_FUNCTION;
	size_t cnt, app;
	const struct frame *frames = stacks__get(s->stacks, r->stack, &cnt);

	table_row__numbers(l, s, r);
	app = by_frame ? 0 : stacks__app_frame(s->stacks, r->stack);
	if (app >= cnt) {
		table_row__place(l, s, r, NULL);
		return;
	}
	table_row__place(l, s, r, &frames[app]);
	if (s->group != GROUP_STACK && !verbose)
		return;
	/* the library that the user's line called: where it was allocated in the end */
	table_row__frames(l, s, frames, verbose ? app : app > 0, SIZE_MAX, "      in ");
	table_row__frames(l, s, frames + app + 1, cnt - app - 1, verbose ? SIZE_MAX : TABLE_FRAMES, "      ");
}
