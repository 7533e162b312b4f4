// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "line.h"
#include "refs_view.h"
#include "table.h"
#include "text.h"

static void add_foreign(struct lines *l, const char *s)
{
	lines__foreign(l, s, strlen(s));
}

static void print_head(struct lines *l, const struct refs_view *v)
{
	text__addf(&l->line, "%" PRIu64 " ", v->objects);
	add_foreign(l, v->type ? v->type : "(type unknown)");
	text__addf(&l->line, "  pid %d ", (int)v->pid);
	if (v->comm)
		add_foreign(l, v->comm);
	text__addf(&l->line, "  Python %s", v->python ? v->python : "?");
	lines__end(l, STYLE_BOLD);
	text__addf(&l->line, "  read in %.1f s: %s", v->reading_s,
		   v->grade == CENSUS_EXACT ? "exact, the process did not run meanwhile" :
		   v->grade == CENSUS_NEAR  ? "near, the process ran meanwhile: references that changed may be missing" :
					      "torn, parts changed faster than they could be read");
	if (v->frozen_s >= 0)
		text__addf(&l->line, "; held still for %.1f ms", v->frozen_s * 1e3);
	if (v->freeze_error)
		text__addf(&l->line, "; it could not be held still: %s", v->freeze_error);
	lines__end(l, v->grade == CENSUS_TORN ? STYLE_WARNING : STYLE_PLAIN);
	if (v->coverage_note) {
		text__addf(&l->line, "  PARTIAL, there is more than is seen: ");
		add_foreign(l, v->coverage_note);
		lines__end(l, STYLE_WARNING);
	}
}

static bool is_kind(const struct refs_view_chain *c, const char *kind)
{
	return !strcmp(c->kind, kind);
}

static void print_parts(struct lines *l, const struct refs_view_chain *c)
{
	for (size_t i = 0; i < c->parts_cnt; i++) {
		if (i && c->cut && i == c->parts_cnt - 1)
			text__addf(&l->line, " ...");
		if (i && c->parts[i].text[0] != '.' && c->parts[i].text[0] != '[')
			text__addf(&l->line, " -> ");
		add_foreign(l, c->parts[i].text);
	}
}

static void print_root(struct lines *l, const struct refs_view_chain *c)
{
	const char *root = c->root ? c->root : "?";

	if (is_kind(c, "module") || is_kind(c, "class")) {
		text__addf(&l->line, "%s ", c->kind);
		add_foreign(l, root);
	} else if (is_kind(c, "frame")) {
		text__addf(&l->line, "local variable of ");
		add_foreign(l, root);
		text__addf(&l->line, "()");
		if (c->line)
			text__addf(&l->line, ", which is at line %d", c->line);
	} else if (is_kind(c, "interpreter")) {
		text__addf(&l->line, "the interpreter itself");
	} else if (is_kind(c, "library")) {
		text__addf(&l->line, "variables of the C library ");
		add_foreign(l, root);
	} else if (is_kind(c, "c-memory")) {
		text__addf(&l->line, "no Python object: memory of C code");
	} else if (is_kind(c, "c-reference")) {
		text__addf(&l->line, "no Python object: C code (an extension) holds a reference to the first one");
	} else {
		text__addf(&l->line, "garbage: they refer to each other only, the collector has not freed them");
	}
}

static void print_chain(struct lines *l, const struct refs_view *v, const struct refs_view_chain *c)
{
	char bytes[16];

	text__addf(&l->line, "%9" PRIu64 " %5.1f%% %11s  ", c->objects, v->objects ? 100.0 * c->objects / v->objects : 0,
		   units__format_bytes(bytes, c->bytes));
	if (is_kind(c, "c-reference") || is_kind(c, "garbage") || !c->parts_cnt) {
		print_root(l, c);
	} else {
		print_parts(l, c);
	}
	lines__end(l, STYLE_ALARM);
	text__addf(&l->line, "%30s", "");
	if (is_kind(c, "c-reference") || is_kind(c, "garbage") || !c->parts_cnt)
		print_parts(l, c);
	else
		print_root(l, c);
	lines__end(l, STYLE_DIM);
	if (c->counts_known && c->unexplained > 0) {
		text__addf(&l->line, "%30sreference count %" PRIu64 ", referrers found %" PRIu64 ": C code holds the rest (object at 0x%" PRIx64 ")", "",
			   c->refcnt, c->found, c->example);
		lines__end(l, STYLE_WARNING);
	}
}

static void print_types(struct lines *l, const struct refs_view_chain *c)
{
	for (size_t i = 0; i < c->parts_cnt; i++) {
		text__addf(&l->line, "%32s", "");
		add_foreign(l, c->parts[i].text);
		if (c->parts[i].type) {
			text__addf(&l->line, "  is ");
			add_foreign(l, c->parts[i].type);
		}
		lines__end(l, STYLE_DIM);
	}
}

static void print_referrers(struct lines *l, const struct refs_view *v)
{
	if (!v->referrers_cnt)
		return;
	text__addf(&l->line, "referred to by");
	lines__end(l, STYLE_BOLD);
	for (size_t i = 0; i < v->referrers_cnt; i++) {
		const struct refs_view_referrer *r = &v->referrers[i];

		text__addf(&l->line, "%9" PRIu64 "                     ", r->cnt);
		add_foreign(l, *r->text ? r->text : "(unnamed)");
		text__addf(&l->line, " of ");
		add_foreign(l, r->type ? r->type : "(unknown)");
		lines__end(l, STYLE_PLAIN);
	}
}

void refs_view__table(const struct refs_view *v, const struct table_opts *opts, struct text *out)
{
	struct lines l = {.out = out, .width = opts->width, .color = opts->color};
	uint64_t shown = 0;

	print_head(&l, v);
	for (size_t i = 0; i < v->chains_cnt; i++) {
		print_chain(&l, v, &v->chains[i]);
		if (opts->verbose)
			print_types(&l, &v->chains[i]);
		shown += v->chains[i].objects;
	}
	if (shown < v->objects) {
		text__addf(&l.line, "%9" PRIu64 " %5.1f%%              in other ways", v->objects - shown, 100.0 * (v->objects - shown) / v->objects);
		lines__end(&l, STYLE_DIM);
	}
	print_referrers(&l, v);
	lines__end(&l, STYLE_PLAIN);
	lines__free(&l);
}
