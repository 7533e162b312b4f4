// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The schemas of what json_snapshot.c, census_json.c and refs_json.c write, a table each: tests check that they have the same fields. */
#include <string.h>

#include "census_view.h"
#include "json_writer.h"
#include "refs_view.h"
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
	{1, "group_by", STRING, 0, "|stack|line|function|type|app|process|container|binary"},
	{1, "processes", ARRAY, 0, NULL},
	{2, "[]", OBJECT, 0, NULL},
	{3, "pid", INTEGER, 0, NULL},
	{3, "comm", STRING, NULLABLE, NULL},
	{3, "cmdline", STRING, NULLABLE, NULL},
	{3, "python", STRING, NULLABLE, "version of the interpreter"},
	{3, "exe", STRING, NULLABLE, NULL},
	{3, "container", STRING, NULLABLE, "its id, or its name where the runtime has no ids"},
	{3, "container_runtime", STRING, NULLABLE, "docker, containerd, cri-o, podman, lxc, systemd-nspawn, ..."},
	{3, "pod_uid", STRING, NULLABLE, "Kubernetes: metadata.uid of the pod"},
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
	{3, "memory_limit", OBJECT, NULLABLE, "of all that bound the process the one that leaves the least room now; null: its cgroup cannot be seen from here"},
	{4, "kind", STRING, 0, "|cgroup|cgroup-high|address-space|data|host"},
	{4, "bytes", INTEGER, NATURAL, NULL},
	{4, "headroom_bytes", INTEGER, NATURAL, "what is left of it now; of a cgroup: less what others in it use, inactive file pages not counted"},
	{4, "partial", BOOLEAN, 0, "cgroups above those that can be seen from here may have lower limits"},
	{4, "shared_by", INTEGER, NATURAL, "how many of the processes traced use it up, this one included"},
	{3, "forecast", OBJECT, 0, NULL},
	{4, "trend", STRING, 0, "|unknown|not growing|growing"},
	{4, "rss_bytes_per_s", NUMBER, NULLABLE, "growth of the process's RSS; null: too early"},
	{4, "low", NUMBER, NULLABLE, "end of its 95 % range"},
	{4, "high", NUMBER, NULLABLE, "the other end"},
	{4, "limit_in_s", NUMBER, NULLABLE | NATURAL, "when all that use up the limit have reached it, at this growth; null: never, or unknown"},
	{4, "limit_in_s_earliest", NUMBER, NULLABLE | NATURAL, NULL},
	{4, "limit_in_s_latest", NUMBER, NULLABLE | NATURAL, NULL},
	{4, "restart_every_s", NUMBER, NULLABLE | NATURAL, "restarts as often as this keep it alive: by then 80 % of the headroom at the attach are used at the highest rate of the range"},
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
	{2, "target_cpu_pct", NUMBER, NULLABLE | NATURAL, "what tracing costs the targets, of one CPU, in this interval"},
	{2, "target_cpu_mean_pct", NUMBER, NULLABLE | NATURAL | OPTIONAL, "budget mode: the same since the attach"},
	{2, "longest_pause_s", NUMBER, NATURAL | OPTIONAL, "budget mode: the longest stretch in which a target ran at less than half of its speed"},
	{2, "bursts", INTEGER, NATURAL | OPTIONAL, "budget mode: how often the probes were placed"},
	{2, "lookouts", INTEGER, NATURAL | OPTIONAL, "budget mode: how often only what makes instances of classes, or large blocks, had one"},
	{2, "samples", INTEGER, NATURAL | OPTIONAL, "budget mode: recorded blocks that are still followed"},
	{2, "sampled_fraction", NUMBER, NATURAL | OPTIONAL, "budget mode: of the targets' run time, in which allocations were recorded; 1: all were"},
	{2, "reused_fraction", NUMBER, NATURAL | OPTIONAL, "budget mode: of the looks at followed blocks that had not changed before, how many found another content; counted into bytes_error"},
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
	{3, "group", STRING, NULLABLE | OPTIONAL, "the container or binary, when that is what a row is; pid is then one of its processes"},
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
	{3, "stack_truncated", BOOLEAN, OPTIONAL, "there are callers beyond --depth, or some that could not be followed"},
	{0, NULL, END, 0, NULL},
};

static const struct field census_fields[] = {
	{1, "schema", STRING, 0, "|pyleak-bpf/census/1"},
	{1, "time", STRING, 0, "UTC, RFC 3339"},
	{1, "elapsed_s", NUMBER, NATURAL, "since the first reading"},
	{1, "interval_s", NUMBER, NULLABLE | NATURAL, "since the reading before; null: this is the first"},
	{1, "pid", INTEGER, NATURAL, "0: a core that does not say"},
	{1, "core", STRING, OPTIONAL, "the core file that was read (--core)"},
	{1, "comm", STRING, NULLABLE, NULL},
	{1, "python", STRING, NULLABLE, "version of the interpreter"},
	{1, "consistency", OBJECT, 0, NULL},
	{2, "grade", STRING, 0, "|exact|near|torn"},
	{2, "torn_reads", INTEGER, NATURAL, "pools of objects whose copy never agreed with itself"},
	{2, "retried_reads", INTEGER, NATURAL, "copies that were made again as they did not agree with themselves"},
	{2, "ran", BOOLEAN, NULLABLE, "did the process run meanwhile? null: unknown"},
	{2, "reading_s", NUMBER, NATURAL, "how long the reading took"},
	{2, "frozen_by", STRING, NULLABLE, "cgroup, signal, or stopped before, by somebody else; null: the process was not held still"},
	{2, "frozen_s", NUMBER, NULLABLE | NATURAL, "how long it was held; null: it was not"},
	{2, "freeze_ended", BOOLEAN, NULLABLE, "--max-pause was over before the reading was done"},
	{2, "freeze_error", STRING, OPTIONAL, "why it could not be held, as was wanted"},
	{1, "coverage", STRING, 0, "|full|partial"},
	{1, "coverage_note", STRING, OPTIONAL, "what is not seen and why"},
	{1, "sample", OBJECT, NULLABLE, "null: all was read; else numbers of types are estimates"},
	{2, "fraction", NUMBER, NATURAL, "as --sample has it"},
	{2, "read", INTEGER, NATURAL, "pools, or where pymalloc is not used stretches of 16 KiB of the C library's heap"},
	{2, "of", INTEGER, NATURAL, NULL},
	{1, "new_since", OBJECT, NULLABLE, "of --new-since; then only types with new objects are told"},
	{2, "mark_s", NUMBER, NATURAL, "how long ago the mark was"},
	{2, "survived_s", NUMBER, NULLABLE | NATURAL, "new objects have been there so long at least"},
	{2, "survived_full_gcs", INTEGER, NULLABLE | NATURAL, "and have survived so many full collections"},
	{2, "full_gcs", INTEGER, NULLABLE | NATURAL, "full collections since the mark; null: this interpreter does not count them"},
	{1, "types", ARRAY, 0, "by what was gained since the first reading, then by owned bytes"},
	{2, "[]", OBJECT, 0, NULL},
	{3, "type", STRING, NULLABLE, "(buffer): memory that is no object, nor a buffer that an object owns"},
	{3, "objects", INTEGER, NATURAL, NULL},
	{3, "tracked", INTEGER, NATURAL, "of these, by the collector: what gc.get_objects() lists, and gc.get_freeze_count() counts"},
	{3, "bytes", INTEGER, NATURAL, "of the objects themselves, as the allocator gives them"},
	{3, "owned_bytes", INTEGER, NATURAL, "the same with the items, keys, values and tables that they own"},
	{3, "largest_bytes", INTEGER, NATURAL, "of one object with what it owns"},
	{3, "objects_error", INTEGER, NATURAL, "half-width of the 95 % interval; 0: exact"},
	{3, "bytes_error", INTEGER, NATURAL, "the same"},
	{3, "owned_bytes_error", INTEGER, NATURAL, "the same"},
	{3, "new_objects", INTEGER, NULLABLE | NATURAL, "of --new-since: not there at the mark; null: nobody asks, or it is not known"},
	{3, "new_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{3, "new_owned_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{3, "delta_objects", INTEGER, NULLABLE, "since the reading before; null: this is the first"},
	{3, "delta_bytes", INTEGER, NULLABLE, NULL},
	{3, "delta_owned_bytes", INTEGER, NULLABLE, NULL},
	{3, "bytes_per_s", NUMBER, NULLABLE, "of owned bytes: robust slope over all readings"},
	{3, "uncollectable", INTEGER, NULLABLE | NATURAL, "in gc.garbage; null: not known where that is"},
	{3, "verdict", STRING, 0, "|growing|stable|warming|unknown"},
	{1, "hidden", OBJECT, 0, "types left out by --floor, --filter and --top"},
	{2, "types", INTEGER, NATURAL, NULL},
	{2, "objects", INTEGER, NATURAL, NULL},
	{2, "owned_bytes", INTEGER, NATURAL, NULL},
	{1, "memory", OBJECT, 0, "all but the first add up to it"},
	{2, "rss_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{2, "python_live_bytes", INTEGER, NULLABLE | NATURAL, "live blocks in pymalloc's pools"},
	{2, "python_free_bytes", INTEGER, NULLABLE | NATURAL, "free space in these pools, and empty pools"},
	{2, "libc_used_bytes", INTEGER, NULLABLE | NATURAL, "chunks in use of glibc's heap: objects over 512 bytes, C extensions"},
	{2, "libc_free_bytes", INTEGER, NULLABLE | NATURAL, "chunks that it keeps"},
	{2, "stacks_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{2, "other_anon_bytes", INTEGER, NULLABLE | NATURAL, NULL},
	{2, "file_bytes", INTEGER, NULLABLE | NATURAL, "pages of files: interpreter, libraries, mapped files; and shared memory"},
	{1, "arenas", OBJECT, NULLABLE, "of pymalloc, each given back when nothing lives in it; null: it is not used, or only a sample was read"},
	{2, "bytes_each", INTEGER, NATURAL, NULL},
	{2, "count", INTEGER, NATURAL, "in which something lives"},
	{2, "sparse", INTEGER, NATURAL, "of these, less than a quarter full"},
	{2, "sparse_live_bytes", INTEGER, NATURAL, "what lives in those"},
	{2, "kept_by", ARRAY, 0, "the types that most of it is of"},
	{3, "[]", OBJECT, 0, NULL},
	{4, "type", STRING, NULLABLE, NULL},
	{4, "objects", INTEGER, NATURAL, NULL},
	{0, NULL, END, 0, NULL},
};

static const struct field refs_fields[] = {
	{1, "schema", STRING, 0, "|pyleak-bpf/refs/1"},
	{1, "time", STRING, 0, "UTC, RFC 3339"},
	{1, "pid", INTEGER, NATURAL, NULL},
	{1, "python", STRING, NULLABLE, "version of the interpreter"},
	{1, "consistency", OBJECT, 0, NULL},
	{2, "grade", STRING, 0, "|exact|near|torn"},
	{2, "torn_reads", INTEGER, NATURAL, NULL},
	{2, "reading_s", NUMBER, NATURAL, "how long the reading took"},
	{2, "frozen_s", NUMBER, NULLABLE | NATURAL, "how long the process was held still meanwhile; null: it was not"},
	{1, "coverage", STRING, 0, "|full|partial"},
	{1, "coverage_note", STRING, OPTIONAL, "what is not seen and why"},
	{1, "type", STRING, NULLABLE, "of the objects that were asked for"},
	{1, "objects", INTEGER, NATURAL, "of these, held in this way"},
	{1, "of", INTEGER, NATURAL, "objects that were asked for"},
	{1, "bytes", INTEGER, NATURAL, "of those held in this way, as the allocator gives them"},
	{1, "root", OBJECT, 0, NULL},
	{2, "kind", STRING, 0, "|module|class|frame|interpreter|library|c-memory|c-reference|garbage"},
	{2, "name", STRING, NULLABLE, "of the module, class, function, library"},
	{2, "line", INTEGER, NULLABLE | NATURAL, "that the frame is at"},
	{1, "chain", ARRAY, 0, "from the root on; [*]: not the same for all"},
	{2, "[]", STRING, 0, NULL},
	{1, "types", ARRAY, 0, "of what each part of the chain leads to"},
	{2, "[]", STRING, NULLABLE, NULL},
	{1, "cut", BOOLEAN, 0, "parts are missing before the last one"},
	{1, "unexplained_refs", INTEGER, NULLABLE, "references that no referrer explains, of each object on average: C code holds them; null: not counted"},
	{1, "reference_count", INTEGER, NULLABLE | NATURAL, "of the example"},
	{1, "references_found", INTEGER, NULLABLE | NATURAL, "of the example"},
	{1, "example", STRING, 0, "address of one of the objects"},
	{1, "referrers", ARRAY, 0, "what refers to all the objects that were asked for directly, in this way or another"},
	{2, "[]", OBJECT, 0, NULL},
	{3, "place", STRING, 0, "attribute, subscript or field"},
	{3, "type", STRING, NULLABLE, "of what refers"},
	{3, "count", INTEGER, NATURAL, NULL},
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

static void schema__print(struct text *out, const struct field *first, const char *title)
{
	struct json_writer w = json__to(out);

	json__object_begin(&w);
	json__key(&w, "$schema");
	json__string(&w, "https://json-schema.org/draft/2020-12/schema");
	json__key(&w, "$id");
	json__string(&w, first->about + 1);
	json__key(&w, "title");
	json__string(&w, title);
	json__key(&w, "type");
	json__string(&w, "object");
	schema__properties(&w, first);
	json__object_end(&w);
	text__add(out, "\n", 1);
}

void snapshot__json_schema(struct text *out)
{
	schema__print(out, fields, "One report of pyleak-bpf");
}

void census_view__json_schema(struct text *out)
{
	schema__print(out, census_fields, "One reading of pyleak-bpf census");
}

void refs_view__json_schema(struct text *out)
{
	schema__print(out, refs_fields, "One shape of chain of pyleak-bpf refs");
}
