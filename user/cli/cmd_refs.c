// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who keeps objects alive. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "census.h"
#include "clock.h"
#include "commands.h"
#include "freeze.h"
#include "graph.h"
#include "heap_target.h"
#include "leaked.h"
#include "log.h"
#include "object.h"
#include "options.h"
#include "output.h"
#include "refs.h"
#include "refs_view.h"
#include "table.h"
#include "text.h"

enum {
	LOOKS = 6,       /* --leaked */
	TYPES_SHOWN = 3,
	CHAINS_SHOWN = 10,
	CHAINS_MAX = 1000, /* --json */
	REFERRERS_SHOWN = 10,
	NAME_MAX_BYTES = 1100,
};

#define LOOK_S 10.0

struct inquiry {
	const struct options *o;
	struct heap_target target;
	struct graph *graph;
	struct freezer *freezer; /* NULL: not wanted */
	double reading_s;
};

static void describe_chain(const struct refs_chain *c, struct refs_view_part *parts, struct refs_view_chain *out)
{
	for (size_t i = 0; i < c->parts_cnt; i++)
		parts[i] = (struct refs_view_part){ c->parts[i].text, c->parts[i].type && *c->parts[i].type ? c->parts[i].type : NULL };
	*out = (struct refs_view_chain){
		.kind = c->is_class ? "class" : graph_root_kind__name(c->kind),
		.root = c->root,
		.line = c->line,
		.objects = c->objects,
		.bytes = c->bytes,
		.parts = parts,
		.parts_cnt = c->parts_cnt,
		.cut = c->cut,
		.example = c->example,
		.counts_known = c->counts_known,
		.found = c->found,
		.refcnt = c->refcnt,
		.unexplained = c->unexplained,
	};
}

static int print(const struct inquiry *q, const struct refs_view *v)
{
	struct text text = {};
	struct table_opts opts = output__table_opts(q->o->verbose > 0);

	if (q->o->json)
		refs_view__json(v, &text);
	else if (q->o->dot || q->o->svg)
		refs_view__dot(v, &text);
	else
		refs_view__table(v, &opts, &text);
	return q->o->svg ? output__write_svg(&text) : output__write(&text, "the answer");
}

static int show(const struct inquiry *q, struct refs *refs)
{
	size_t max = q->o->top ? q->o->top : q->o->json ? CHAINS_MAX : CHAINS_SHOWN;
	struct refs_chain *found = calloc(max, sizeof(*found));
	struct refs_view_chain *chains = calloc(max, sizeof(*chains));
	struct refs_view_part (*parts)[REFS_PARTS_MAX] = calloc(max, sizeof(*parts));
	struct refs_referrer referrers[REFERRERS_SHOWN];
	struct refs_view_referrer shown[REFERRERS_SHOWN];
	struct census_stats stats;
	int code = EXIT_INTERNAL;

	graph__stats(q->graph, &stats);
	struct refs_view view = {
		.time_unix_ns = clock__ns(CLOCK_REALTIME),
		.pid = q->target.py.pid,
		.comm = q->target.status.comm,
		.python = q->target.py.version,
		.type = refs__type(refs),
		.objects = refs__objects(refs),
		.grade = stats.torn ? CENSUS_TORN : stats.ran ? CENSUS_NEAR : CENSUS_EXACT,
		.ran_known = stats.ran_known,
		.torn = stats.torn,
		.reading_s = q->reading_s,
		.frozen_s = stats.freeze.by == FREEZE_CGROUP || stats.freeze.by == FREEZE_SIGNAL ? stats.freeze.held_ns / 1e9 : -1,
		.freeze_error = stats.freeze_err ? strerror(-stats.freeze_err) : NULL,
		.coverage_note = stats.partial ? stats.note : NULL,
		.chains = chains,
		.referrers = shown,
	};
	if (found && chains && parts) {
		view.chains_cnt = refs__chains(refs, found, max);
		view.referrers_cnt = refs__referrers(refs, referrers, REFERRERS_SHOWN);
		for (size_t i = 0; i < view.chains_cnt; i++)
			describe_chain(&found[i], parts[i], &chains[i]);
		for (size_t i = 0; i < view.referrers_cnt; i++)
			shown[i] = (struct refs_view_referrer){ referrers[i].text, referrers[i].type, referrers[i].cnt };
		code = print(q, &view);
	} else {
		log_error("out of memory");
	}
	free(found);
	free(chains);
	free(parts);
	return code;
}

static int tell_no_objects(const struct options *o, int err, const char *names)
{
	if (err == -E2BIG)
		log_error("more than one type is called %s; which one?\n%s", o->type, names);
	else if (err == -ENOENT && o->type)
		log_error("there is no live object of a type %s: census lists the types", o->type);
	else if (err == -ENOENT)
		log_error("there is no live object at 0x%llx", (unsigned long long)o->addr);
	else
		log_error("who refers to them cannot be found: %s", strerror(-err));
	return err == -E2BIG || err == -ENOENT ? EXIT_USAGE : EXIT_INTERNAL;
}

static int answer(const struct inquiry *q, const struct refs_query *query)
{
	struct refs *refs;
	char *names;
	int err = refs__new(q->graph, query, &refs, &names), code;

	code = err ? tell_no_objects(q->o, err, names) : show(q, refs);
	free(names);
	refs__free(refs);
	return code;
}

static int tell_no_room(const struct inquiry *q)
{
	char needs[16];

	units__format_bytes(needs, graph__needs(q->graph));
	log_error("this heap may take %s here, more than %s: take a core of it (gcore) and read that where there is more (refs --core), or ask census", needs,
		  q->o->max_memory_bytes ? "--max-memory allows" : "is free");
	return EXIT_UNSUPPORTED;
}

static int read_graph(struct inquiry *q)
{
	uint64_t start_ns = clock__now_ns();
	int err = graph__read(q->graph);

	q->reading_s = (clock__now_ns() - start_ns) / 1e9;
	if (err == -E2BIG)
		return tell_no_room(q);
	if (!err)
		err = heap_target__check(&q->target); /* what was read of one that ended is not the whole */
	return err ? heap_target__fail(&q->target, err) : EXIT_FINE;
}

/* ---- --leaked ---- */

static int answer_type(const struct inquiry *q, const struct leaked *l, const struct leaked_type *type)
{
	struct refs_query query = { .show_values = q->o->show_values };
	char name[NAME_MAX_BYTES];
	uint64_t *blocks;
	int code;

	if (py_type__name(&q->target.py, type->type, name, sizeof(name), NULL) || leaked__blocks(l, type->type, &blocks, &query.blocks_cnt))
		return EXIT_FINE;
	query.type = name;
	query.blocks = blocks;
	code = answer(q, &query);
	free(blocks);
	return code == EXIT_USAGE ? EXIT_FINE : code; /* those have gone meanwhile */
}

static int look(const struct inquiry *q, struct leaked *l)
{
	double every_s = (q->o->duration_s ? q->o->duration_s : LOOK_S) / (LOOKS - 1);
	const struct timespec t = { (time_t)every_s, (long)((every_s - (time_t)every_s) * 1e9) };
	int err = 0;

	for (int i = 0; i < LOOKS && !err; i++) {
		if (i)
			nanosleep(&t, NULL);
		err = leaked__look(l);
	}
	if (err == -ENODATA)
		log_error("process %d does not use pymalloc: --leaked has no way to tell its new objects from old ones; ask for a --type", q->target.py.pid);
	else if (err)
		return heap_target__fail(&q->target, err);
	return err ? EXIT_UNSUPPORTED : EXIT_FINE;
}

static int answer_leaked(struct inquiry *q)
{
	struct leaked *l = leaked__new(&q->target.py);
	struct leaked_type types[TYPES_SHOWN];
	size_t cnt = 0;
	int code = l ? look(q, l) : EXIT_INTERNAL;

	if (!code)
		cnt = leaked__types(l, types, TYPES_SHOWN);
	if (!code && !cnt)
		log_warn("no type grew at each of %d looks: nothing leaks fast enough to be seen in this time (--duration)", LOOKS - 1);
	if (!code && cnt)
		code = read_graph(q);
	for (size_t i = 0; i < cnt && !code; i++)
		code = answer_type(q, l, &types[i]);
	leaked__free(l);
	return code;
}

int cmd_refs(const struct options *o)
{
	struct inquiry q = { .o = o };
	const struct refs_query query = { .type = o->type, .addr = o->addr, .show_values = o->show_values };
	int code;

	if (!o->core && heap_target__check_namespace())
		return EXIT_UNSUPPORTED;
	signal(SIGPIPE, SIG_IGN);
	code = heap_target__open(&q.target, o->core ? 0 : o->pids[0], o->core);
	if (code) {
		heap_target__close(&q.target);
		return code;
	}
	code = o->freeze && freezer__new(&q.freezer) ? EXIT_INTERNAL : EXIT_FINE;
	q.graph = graph__new(&q.target.py);
	if (q.graph)
		graph__set_max_bytes(q.graph, o->max_memory_bytes);
	if (q.graph && q.freezer)
		graph__set_freezer(q.graph, q.freezer, o->max_pause_s * 1e9);
	if (q.target.py.names.types == NAMES_FALSE) {
		log_error("process %d: types have no names, as this build is laid out in an unknown way: %s", q.target.py.pid, q.target.py.names.doubt);
		code = EXIT_UNSUPPORTED;
	} else if (code || !q.graph) {
		log_error("out of memory");
		code = EXIT_INTERNAL;
	} else if (o->leaked) {
		code = answer_leaked(&q);
	} else {
		code = read_graph(&q);
		if (!code)
			code = answer(&q, &query);
	}
	graph__free(q.graph);
	freezer__free(q.freezer);
	heap_target__close(&q.target);
	return code;
}
