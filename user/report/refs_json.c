// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* json_schema.c has the same fields in the same order. */
#include <inttypes.h>
#include <stdio.h>

#include "json_fields.h"
#include "refs_view.h"
#include "text.h"

static void json__root(struct json_writer *w, const struct refs_view_chain *c)
{
	json__key(w, "root");
	json__object_begin(w);
	key__string(w, "kind", c->kind);
	key__string(w, "name", c->root);
	key__int_if(w, "line", c->line > 0, c->line);
	json__object_end(w);
}

static void json__parts(struct json_writer *w, const struct refs_view_chain *c)
{
	json__key(w, "chain");
	json__array_begin(w);
	for (size_t i = 0; i < c->parts_cnt; i++)
		json__string(w, c->parts[i].text);
	json__array_end(w);
	json__key(w, "types");
	json__array_begin(w);
	for (size_t i = 0; i < c->parts_cnt; i++)
		json__string(w, c->parts[i].type);
	json__array_end(w);
	json__key(w, "cut");
	json__bool(w, c->cut);
}

static void json__referrers(struct json_writer *w, const struct refs_view *v)
{
	json__key(w, "referrers");
	json__array_begin(w);
	for (size_t i = 0; i < v->referrers_cnt; i++) {
		json__object_begin(w);
		key__string(w, "place", v->referrers[i].text);
		key__string(w, "type", v->referrers[i].type);
		key__uint(w, "count", v->referrers[i].cnt);
		json__object_end(w);
	}
	json__array_end(w);
}

static void json__chain(const struct refs_view *v, const struct refs_view_chain *c, struct text *out)
{
	struct json_writer w = json__to(out);
	char address[24];

	json__object_begin(&w);
	key__string(&w, "schema", "pyleak-bpf/refs/1");
	key__time(&w, "time", v->time_unix_ns);
	key__int(&w, "pid", v->pid);
	key__string(&w, "python", v->python);
	json__key(&w, "consistency");
	json__object_begin(&w);
	key__string(&w, "grade", census_grade__name(v->grade));
	key__uint(&w, "torn_reads", v->torn);
	key__double(&w, "reading_s", v->reading_s);
	key__double_if(&w, "frozen_s", v->frozen_s >= 0, v->frozen_s);
	json__object_end(&w);
	key__string(&w, "coverage", v->coverage_note ? "partial" : "full");
	if (v->coverage_note)
		key__string(&w, "coverage_note", v->coverage_note);
	key__string(&w, "type", v->type);
	key__uint(&w, "objects", c->objects);
	key__uint(&w, "of", v->objects);
	key__uint(&w, "bytes", c->bytes);
	json__root(&w, c);
	json__parts(&w, c);
	key__int_if(&w, "unexplained_refs", c->counts_known, c->unexplained);
	key__int_if(&w, "reference_count", c->counts_known, c->refcnt);
	key__int_if(&w, "references_found", c->counts_known, c->found);
	snprintf(address, sizeof(address), "0x%" PRIx64, c->example);
	key__string(&w, "example", address);
	json__referrers(&w, v);
	json__object_end(&w);
	text__add(out, "\n", 1);
}

void refs_view__json(const struct refs_view *v, struct text *out)
{
	for (size_t i = 0; i < v->chains_cnt; i++)
		json__chain(v, &v->chains[i], out);
}
