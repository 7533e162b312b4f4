// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The schema of what json_snapshot.c writes, as one table: a test checks that both have the same fields. */
#include <string.h>

#include "json_writer.h"
#include "snapshot.h"
#include "text.h"

enum kind { STRING, INTEGER, NUMBER, BOOLEAN, OBJECT, ARRAY, END };
enum flag { NULLABLE = 1, OPTIONAL = 2, NATURAL = 4 /* not negative */, OPEN = 8 /* other counters may follow */ };

struct field {
	int depth;
	const char *name; /* "[]": the items of the array before */
	enum kind kind;
	int flags;
	const char *about; /* a description, or for a string that starts with '|' the values it may have */
};

static const struct field fields[] = {
	{1, "schema", STRING, 0, "|pyleak-bpf/snapshot/1"},
	{1, "time", STRING, 0, "UTC, RFC 3339"},
	{1, "elapsed_s", NUMBER, NATURAL, "since the attach"},
	{1, "interval_s", NUMBER, NATURAL, "between two reports"},
	{1, "final", BOOLEAN, 0, "the last one of this run"},
	{1, "mode", STRING, 0, "|exact|budget"},
	{1, "group_by", STRING, 0, "|stack|line|function|type|app|process|container"},
	{1, "processes", ARRAY, 0, NULL},
	{2, "[]", OBJECT, 0, NULL},
	{3, "pid", INTEGER, 0, NULL},
	{3, "comm", STRING, NULLABLE, NULL},
	{3, "cmdline", STRING, NULLABLE, NULL},
	{3, "python", STRING, NULLABLE, "version of the interpreter"},
	{3, "exe", STRING, NULLABLE, NULL},
	{3, "container", STRING, NULLABLE, NULL},
	{3, "rss_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{3, "rss_at_attach_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{3, "peak_rss_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{3, "coverage", STRING, 0, "|full|partial"},
	{3, "coverage_note", STRING, OPTIONAL, "what is not seen and why"},
	{3, "gc", OBJECT, NULLABLE, "the collector's own counters"},
	{4, "collections", ARRAY, 0, "by generation"},
	{5, "[]", INTEGER, NATURAL, NULL},
	{4, "uncollectable", INTEGER, NATURAL, NULL},
	{4, "last_duration_s", NUMBER, NULLABLE | NATURAL, "of the last full collection"},
	{4, "duration_s", NUMBER, NULLABLE | NATURAL, "of all collections since the attach"},
	{3, "gone", BOOLEAN, 0, "it has ended"},
	{1, "outstanding", OBJECT, 0, "allocated since the attach and not freed"},
	{2, "bytes", INTEGER, 0, NULL},
	{2, "objects", INTEGER, 0, NULL},
	{2, "pymalloc_bytes", INTEGER, 0, "of these, in the mem and object domains"},
	{2, "pymalloc_objects", INTEGER, 0, "what sys.getallocatedblocks() counts"},
	{1, "lost", OBJECT, OPEN, "what was not seen, by reason"},
	{2, "events", INTEGER, NATURAL, NULL},
	{2, "stacks", INTEGER, NATURAL, NULL},
	{1, "overhead", OBJECT, 0, NULL},
	{2, "target_cpu_pct", NUMBER, NULLABLE | NATURAL, "what tracing costs the targets"},
	{1, "verdicts", OBJECT, 0, "how many rows have which verdict, not only of those shown"},
	{2, "unknown", INTEGER, NATURAL, NULL},
	{2, "stable", INTEGER, NATURAL, NULL},
	{2, "warming", INTEGER, NATURAL, NULL},
	{2, "growing", INTEGER, NATURAL, NULL},
	{2, "intervals_missing", INTEGER, NATURAL, "intervals until there can be a verdict"},
	{1, "growers", ARRAY, 0, "by rank"},
	{2, "[]", OBJECT, 0, NULL},
	{3, "rank", INTEGER, NATURAL, NULL},
	{3, "pid", INTEGER, NULLABLE, NULL},
	{3, "type", STRING, NULLABLE, NULL},
	{3, "bytes", INTEGER, 0, "outstanding; an estimate in budget mode"},
	{3, "objects", INTEGER, 0, NULL},
	{3, "delta_bytes", INTEGER, 0, "since the interval before"},
	{3, "delta_objects", INTEGER, 0, NULL},
	{3, "bytes_per_s", NUMBER, NULLABLE, "robust slope over the history"},
	{3, "bytes_error", NUMBER, NULLABLE | NATURAL, "half-width of the 95 % interval; 0: exact"},
	{3, "oldest_s", NUMBER, NULLABLE | NATURAL, "age of the oldest block"},
	{3, "survived_full_gcs", INTEGER, NATURAL, NULL},
	{3, "survivors", INTEGER, 0, "objects that have outlived a full collection"},
	{3, "verdict", STRING, 0, "|growing|stable|warming|unknown"},
	{3, "stack", ARRAY, 0, "innermost frame first"},
	{4, "[]", OBJECT, 0, NULL},
	{5, "file", STRING, NULLABLE, NULL},
	{5, "line", INTEGER, NULLABLE | NATURAL, NULL},
	{5, "function", STRING, NULLABLE, NULL},
	{5, "stale", BOOLEAN, OPTIONAL, "the code was gone when its names were read"},
	{0, NULL, END, 0, NULL},
};

static const char *const kinds[] = {"string", "integer", "number", "boolean", "object", "array"};

static void schema__type(struct json_writer *w, const struct field *f)
{
	json__key(w, "type");
	if (!(f->flags & NULLABLE)) {
		json__string(w, kinds[f->kind]);
		return;
	}
	json__array_begin(w);
	json__string(w, kinds[f->kind]);
	json__string(w, "null");
	json__array_end(w);
}

static void schema__about(struct json_writer *w, const char *about)
{
	if (!about)
		return;
	if (*about != '|') {
		json__key(w, "description");
		json__string(w, about);
		return;
	}
	json__key(w, "enum");
	json__array_begin(w);
	while (*about) {
		size_t len = strcspn(++about, "|");

		json__bytes(w, about, len);
		about += len;
	}
	json__array_end(w);
}

static void schema__properties(struct json_writer *w, const struct field *first);

/* Everything of a value but its braces; F is its field. */
static void schema__value(struct json_writer *w, const struct field *f)
{
	schema__type(w, f);
	schema__about(w, f->about);
	if (f->flags & NATURAL) {
		json__key(w, "minimum");
		json__int(w, 0);
	}
	if (f->kind == OBJECT)
		schema__properties(w, f + 1);
	if (f->flags & OPEN) {
		json__key(w, "additionalProperties");
		json__object_begin(w);
		json__key(w, "type");
		json__string(w, kinds[INTEGER]);
		json__object_end(w);
	}
	if (f->kind == ARRAY) {
		json__key(w, "items");
		json__object_begin(w);
		schema__value(w, f + 1);
		json__object_end(w);
	}
}

static void schema__properties(struct json_writer *w, const struct field *first)
{
	json__key(w, "properties");
	json__object_begin(w);
	for (const struct field *f = first; f->depth >= first->depth; f++) {
		if (f->depth != first->depth)
			continue;
		json__key(w, f->name);
		json__object_begin(w);
		schema__value(w, f);
		json__object_end(w);
	}
	json__object_end(w);
	json__key(w, "required");
	json__array_begin(w);
	for (const struct field *f = first; f->depth >= first->depth; f++)
		if (f->depth == first->depth && !(f->flags & OPTIONAL))
			json__string(w, f->name);
	json__array_end(w);
}

void snapshot__json_schema(struct text *out)
{
	struct json_writer w = json__to(out);

	json__object_begin(&w);
	json__key(&w, "$schema");
	json__string(&w, "https://json-schema.org/draft/2020-12/schema");
	json__key(&w, "$id");
	json__string(&w, "pyleak-bpf/snapshot/1");
	json__key(&w, "title");
	json__string(&w, "One report of pyleak-bpf");
	json__key(&w, "type");
	json__string(&w, "object");
	schema__properties(&w, fields);
	json__object_end(&w);
	text__add(out, "\n", 1);
}
