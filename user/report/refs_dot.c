// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Chains that begin alike share their begin, so that the picture is a tree with the objects at the ends. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "line.h"
#include "refs_view.h"
#include "text.h"

/* Cleaned, and quoted as DOT wants it. */
static void add_quoted(struct text *out, const char *raw)
{
	struct text clean = {0};

	text__add_clean(&clean, raw, strlen(raw));
	for (const char *s = clean.s ? clean.s : ""; *s; s++) {
		if (*s == '"' || *s == '\\')
			text__add(out, "\\", 1);
		text__add(out, s, 1);
	}
	text__free(&clean);
}

static bool is_same_begin(const struct refs_view_chain *a, const struct refs_view_chain *b, size_t parts)
{
	if (strcmp(a->kind, b->kind) || strcmp(a->root ? a->root : "", b->root ? b->root : "") || a->parts_cnt < parts || b->parts_cnt < parts)
		return false;
	for (size_t i = 0; i < parts; i++)
		if (strcmp(a->parts[i].text, b->parts[i].text) || strcmp(a->parts[i].type ? a->parts[i].type : "", b->parts[i].type ? b->parts[i].type : ""))
			return false;
	return true;
}

/* The first chain that begins with the same PARTS parts names their node. */
static size_t owner_of(const struct refs_view *v, size_t chain, size_t parts)
{
	size_t i = 0;

	while (i < chain && !is_same_begin(&v->chains[i], &v->chains[chain], parts))
		i++;
	return i;
}

static uint64_t objects_through(const struct refs_view *v, size_t chain, size_t parts)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < v->chains_cnt; i++)
		if (is_same_begin(&v->chains[i], &v->chains[chain], parts))
			sum += v->chains[i].objects;
	return sum;
}

static void add_chain(const struct refs_view *v, size_t chain, struct text *out)
{
	const struct refs_view_chain *c = &v->chains[chain];

	if (owner_of(v, chain, 0) == chain) {
		text__addf(out, "  c%zu_0 [shape=box, style=filled, fillcolor=lightgrey, label=\"%s ", chain, c->kind);
		add_quoted(out, c->root ? c->root : "");
		text__addf(out, "\"];\n");
	}
	for (size_t i = 1; i <= c->parts_cnt; i++) {
		const struct refs_view_part *p = &c->parts[i - 1];

		if (owner_of(v, chain, i) != chain)
			continue;
		text__addf(out, "  c%zu_%zu [label=\"", chain, i);
		add_quoted(out, p->type ? p->type : "?");
		text__addf(out, "\"%s];\n", i == c->parts_cnt ? ", style=filled, fillcolor=mistyrose" : "");
		text__addf(out, "  c%zu_%zu -> c%zu_%zu [label=\"", owner_of(v, chain, i - 1), i - 1, chain, i);
		add_quoted(out, p->text);
		text__addf(out, "\\n%" PRIu64 "\"];\n", objects_through(v, chain, i));
	}
}

void refs_view__dot(const struct refs_view *v, struct text *out)
{
	text__addf(out, "digraph refs {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=9];\n");
	text__addf(out, "  label=\"%" PRIu64 " ", v->objects);
	add_quoted(out, v->type ? v->type : "?");
	text__addf(out, ", pid %d\";\n", (int)v->pid);
	for (size_t i = 0; i < v->chains_cnt; i++)
		add_chain(v, i, out);
	text__addf(out, "}\n");
}
