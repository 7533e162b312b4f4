// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "census.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census_state.h"
#include "clock.h"
#include "dict.h"
#include "module.h"

enum {
	NAME_MAX_BYTES = 1100,
	GARBAGE_MAX = 1 << 20,
	GARBAGE_AT_ONCE = 512,
};

#define NAMES_MAX_NS 5000000000ULL

struct census *census__new(const struct py_interp *py)
{
	struct census *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->py = py;
	c->heap = heap__new(py);
	map__init(&c->linked, sizeof(uint64_t), 1);
	census_sample__begin(c);
	if (!c->heap) {
		census__free(c);
		return NULL;
	}
	c->heap->see = census__see_block;
	c->heap->see_pool = census_sample__see_pool;
	c->heap->see_ctx = c;
	c->int_type = py->major < 3 && py->elf ? module__symbol(py, "PyInt_Type") : 0;
	return c;
}

static void free_rows(struct census *c)
{
	for (size_t i = 0; i < c->row_cnt; i++)
		free((char *)c->rows[i].type);
	free(c->rows);
	c->rows = NULL;
	c->row_cnt = 0;
}

void census__free(struct census *c)
{
	if (!c)
		return;
	free_rows(c);
	census__free_keepers(c);
	heap__free(c->heap);
	map__free(&c->linked);
	census_sample__free(c);
	census_since__free(c);
	free(c->types);
	free(c->runs);
	free(c->mapped);
	free(c->heaps);
	free(c->found);
	free(c->links);
	free(c);
}

static void begin(struct census *c)
{
	free_rows(c);
	census__free_keepers(c);
	if (c->types)
		memset(c->types, 0, c->type_capacity * sizeof(*c->types));
	c->stats = (struct census_stats){ 0 };
	c->err = 0;
	c->libc_used_bytes = c->libc_present_bytes = c->mapped_bytes = 0;
	c->owned_blocks = c->owned_block_bytes = 0;
	c->linked_cnt = 0;
	c->heap_cnt = c->buffer_cnt = c->run_cnt = c->mapped_cnt = c->found_cnt = c->link_cnt = 0;
	c->found_unsorted = false;
	census_sample__begin(c);
	census_since__begin(c);
	map__free(&c->linked);
	map__init(&c->linked, sizeof(uint64_t), 1);
}

/* PyModuleObject.md_dict: the same place in every version. */
enum { MODULE_DICT = 16 };

/* Modules/gcmodule.c, Python/gc.c; where the collector's state has no known place (before 3.7), as an attribute of the module, if anything has imported that. */
static int find_garbage(const struct py_interp *py, uint64_t *list)
{
	uint64_t modules, module, dict;
	int err;

	if (py->gc_garbage_addr)
		return remote__read_u64(&py->mem, py->gc_garbage_addr, list);
	err = py->interp_addr ? remote__read_u64(&py->mem, py->interp_addr + py->layout->interp_modules, &modules) : -ENOENT;
	if (!err)
		err = py_dict__find(py, modules, "gc", &module);
	if (!err)
		err = remote__read_u64(&py->mem, module + MODULE_DICT, &dict);
	return err ? err : py_dict__find(py, dict, "garbage", list);
}

bool census__read_garbage(struct census *c)
{
	const struct py_interp *py = c->py;
	uint64_t list, head[2], items, item[GARBAGE_AT_ONCE], type;
	int64_t cnt;
	uint32_t tag;

	if (find_garbage(py, &list))
		return false;
	if (!list) /* the collector has not run */
		return true;
	if (remote__read(&py->mem, list + 8, head, sizeof(head)) || head[0] != py->types.list || !py->types.list ||
	    remote__read_u64(&py->mem, list + py->layout->list_items, &items))
		return false;
	cnt = head[1];
	if (cnt < 0 || cnt > GARBAGE_MAX)
		return false;
	for (int64_t i = 0; i < cnt; i++) {
		if (i % GARBAGE_AT_ONCE == 0 &&
		    remote__read(&py->mem, items + 8 * i, item, 8 * (cnt - i < GARBAGE_AT_ONCE ? cnt - i : GARBAGE_AT_ONCE)))
			return false;
		if (remote__read_u64(&py->mem, item[i % GARBAGE_AT_ONCE] + 8, &type))
			return false;
		tag = heap_types__tag(&c->heap->types, type);
		if (tag >= TAG_FIRST && census__type(c, tag))
			c->types[tag].uncollectable++;
	}
	return true;
}

static int compare_names(const void *a, const void *b)
{
	const struct census_row *x = a, *y = b;

	if (!x->type || !y->type)
		return !x->type - !y->type;
	return strcmp(x->type, y->type);
}

static int compare_bytes(const void *a, const void *b)
{
	const struct census_row *x = a, *y = b;

	if (x->owned_bytes != y->owned_bytes)
		return x->owned_bytes < y->owned_bytes ? 1 : -1;
	return x->objects != y->objects ? (x->objects < y->objects ? 1 : -1) : compare_names(a, b);
}

static void add_row(struct census *c, const struct census_type *t, const char *name, bool garbage_known)
{
	int64_t owned_bytes = t->bytes;

	census__add(&owned_bytes, t->buffer_bytes);
	c->rows[c->row_cnt++] = (struct census_row){
		.type = name ? strdup(name) : NULL,
		.objects = t->objects,
		.tracked = t->tracked,
		.bytes = t->bytes,
		.owned_bytes = owned_bytes,
		.largest_bytes = t->largest,
		.new_objects = t->new_objects,
		.new_bytes = t->new_bytes,
		.new_owned_bytes = t->new_bytes + t->new_buffer_bytes < t->new_bytes ? INT64_MAX : t->new_bytes + t->new_buffer_bytes,
		.uncollectable = garbage_known ? t->uncollectable : -1,
		.objects_error = t->objects_error,
		.bytes_error = t->bytes_error,
		.owned_bytes_error = t->owned_error,
	};
}

static void sum_buffers(const struct census *c, struct census_row *row)
{
	const struct heap_kind *kinds;
	size_t cnt = c->stats.has_pools ? heap__kinds(c->heap, &kinds) : 0;

	for (size_t i = 0; i < cnt; i++) {
		if (kinds[i].type)
			continue;
		row->objects += kinds[i].live;
		row->bytes += kinds[i].live_bytes;
		if (kinds[i].bytes_each > row->largest_bytes)
			row->largest_bytes = kinds[i].bytes_each;
	}
	row->objects = row->objects > c->owned_blocks ? row->objects - c->owned_blocks : 0;
	row->bytes = row->bytes > c->owned_block_bytes ? row->bytes - c->owned_block_bytes : 0;
}

/* Memory of pools that is no object, less what objects own: caches, key tables that instances share, what waits in free lists. */
static void add_buffers(struct census *c)
{
	const struct census_type *t = c->options.sample && c->type_capacity ? &c->types[TAG_BUFFER] : NULL;
	struct census_row row = { .is_buffer = true };

	if (t)
		row = (struct census_row){ .is_buffer = true, .objects = t->objects, .bytes = t->bytes, .objects_error = t->objects_error,
					   .bytes_error = t->bytes_error, .owned_bytes_error = t->owned_error };
	else
		sum_buffers(c, &row);
	row.owned_bytes = row.bytes;
	row.type = strdup(CENSUS_BUFFER);
	if (row.objects && row.type)
		c->rows[c->row_cnt++] = row;
	else
		free((char *)row.type);
}

static void merge_names(struct census *c)
{
	size_t cnt = 0;

	qsort(c->rows, c->row_cnt, sizeof(*c->rows), compare_names);
	for (size_t i = 0; i < c->row_cnt; i++) {
		struct census_row *row = &c->rows[i], *last = cnt ? &c->rows[cnt - 1] : NULL;

		if (!last || row->is_buffer || last->is_buffer || compare_names(last, row)) {
			c->rows[cnt++] = *row;
			continue;
		}
		last->objects += row->objects;
		last->tracked += row->tracked;
		last->new_objects += row->new_objects;
		census__add(&last->new_bytes, row->new_bytes);
		census__add(&last->new_owned_bytes, row->new_owned_bytes);
		census__add(&last->objects_error, row->objects_error);
		census__add(&last->bytes_error, row->bytes_error);
		census__add(&last->owned_bytes_error, row->owned_bytes_error);
		census__add(&last->bytes, row->bytes);
		census__add(&last->owned_bytes, row->owned_bytes);
		if (row->largest_bytes > last->largest_bytes)
			last->largest_bytes = row->largest_bytes;
		if (row->uncollectable > 0)
			last->uncollectable += row->uncollectable;
		free((char *)row->type);
	}
	c->row_cnt = cnt;
}

/* A process may have tens of thousands of types that each take milliseconds to name: so many stay without. */
static bool has_time_left(struct census *c, uint64_t until_ns)
{
	struct census_stats *s = &c->stats;

	if (clock__ns(CLOCK_THREAD_CPUTIME_ID) < until_ns)
		return true;
	if (!s->partial)
		snprintf(s->note, sizeof(s->note), "naming its types takes too long: some are shown without a name");
	s->partial = true;
	return false;
}

static int make_rows(struct census *c)
{
	bool garbage_known = census__read_garbage(c), named = c->py->names.types == NAMES_TRUE;
	uint64_t until_ns = clock__ns(CLOCK_THREAD_CPUTIME_ID) + NAMES_MAX_NS;
	size_t most = c->type_capacity + 1;
	char name[NAME_MAX_BYTES];

	if (c->err)
		return c->err;
	c->rows = calloc(most, sizeof(*c->rows));
	if (!c->rows)
		return -ENOMEM;
	for (uint32_t tag = TAG_FIRST; tag < c->type_capacity && tag < c->heap->types.cnt; tag++) {
		const struct census_type *t = &c->types[tag];

		named = named && has_time_left(c, until_ns);
		if (t->objects)
			add_row(c, t, named && !py_type__name(c->py, c->heap->types.types[tag].addr, name, sizeof(name), NULL) ? name : NULL,
				garbage_known);
	}
	add_buffers(c);
	merge_names(c);
	qsort(c->rows, c->row_cnt, sizeof(*c->rows), compare_bytes);
	return 0;
}

static void tell(struct census *c)
{
	struct census_stats *s = &c->stats;
	struct heap_stats heap;

	heap__stats(c->heap, &heap);
	s->torn = heap.torn;
	s->retried = heap.retried;
	s->read_bytes = s->has_pools ? heap.pools_bytes : 0;
	s->partial = heap.partial;
	if (c->heap->types.exhausted)
		snprintf(s->note, sizeof(s->note), "more in its memory looks like types than is looked at: objects may be counted as (buffer)");
	else if (s->partial)
		snprintf(s->note, sizeof(s->note), "%llu KiB of memory were not looked at: swapped out, or more than is read at once",
			 (unsigned long long)heap.skipped_bytes >> 10);
}

static uint64_t take(uint64_t *from, uint64_t bytes)
{
	bytes = bytes < *from ? bytes : *from;
	*from -= bytes;
	return bytes;
}

/* Pools and the C library's heap are in anonymous memory; what is left of that is other people's. */
static void read_memory(struct census *c)
{
	struct census_memory *m = &c->stats.memory;
	struct proc_memory now;
	struct heap_stats heap;
	uint64_t left, live, used;

	if (process__memory(&c->py->proc, &now))
		return;
	*m = (struct census_memory){ .known = true, .rss_bytes = now.rss_bytes, .stacks_bytes = now.stack_bytes, .file_bytes = now.file_bytes };
	left = now.anon_bytes;
	if (c->stats.has_pools) {
		heap__stats(c->heap, &heap);
		live = c->options.sample ? heap.found_live_bytes : heap.live_bytes;
		used = heap.carved_bytes + heap.empty_pools * heap.pool_bytes;
		m->python_live_bytes = take(&left, live);
		m->python_free_bytes = take(&left, used > live ? used - live : 0);
	}
	if (c->stats.has_libc) {
		m->libc_used_bytes = take(&left, c->mapped_bytes + (c->libc_used_bytes < c->libc_present_bytes ? c->libc_used_bytes : c->libc_present_bytes));
		m->libc_free_bytes = take(&left, c->libc_present_bytes > c->libc_used_bytes ? c->libc_present_bytes - c->libc_used_bytes : 0);
	}
	m->other_anon_bytes = left;
}

/* That explains all other notes. */
static void tell_gap(struct census *c)
{
	if (process__gap(&c->py->proc, c->stats.note, sizeof(c->stats.note)))
		c->stats.partial = true;
}

void census__set_options(struct census *c, const struct census_options *options)
{
	const struct heap_options heap = { .sample = options->sample, .seed = options->seed };

	c->options = *options;
	heap__set_options(c->heap, &heap);
}

/* What is read and has to be of one moment. 0 or -errno. */
static int read_all(struct census *c)
{
	int err = census__find_libc(c);

	if (err)
		return err;
	err = heap__read(c->heap);
	if (err && err != -ENODATA)
		return err;
	c->sample.in_cluster = false;
	c->stats.has_pools = !err;
	tell(c);
	err = c->err ? c->err : census__read_large(c);
	if (!err)
		census__flush_buffers(c);
	if (!err && c->options.sample)
		census_sample__finish(c);
	err = err ? err : c->err;
	return err ? err : make_rows(c);
}

/* One that cannot be held is read as it runs. */
static int read_held(struct census *c)
{
	struct census_stats *s = &c->stats;
	uint64_t ran_before = 0, ran_after = 0;
	int err;

	if (c->options.freezer)
		s->freeze_err = freezer__hold(c->options.freezer, c->py->pid, c->status.start_ticks, c->options.max_pause_ns);
	s->ran_known = !process__run_ns(&c->py->proc, &ran_before);
	err = read_all(c);
	s->ran_known = s->ran_known && !process__run_ns(&c->py->proc, &ran_after);
	if (c->options.freezer && !s->freeze_err)
		freezer__release(c->options.freezer, &s->freeze);
	s->ran = !s->ran_known || ran_before != ran_after;
	/* Held in the middle of an allocation: the free list and the count of that pool differ by this block for as long as it lasts. */
	if (!s->ran && s->torn <= (uint64_t)c->status.threads)
		s->torn = 0;
	return err;
}

int census__read(struct census *c)
{
	uint64_t start_ns = clock__ns(CLOCK_THREAD_CPUTIME_ID);
	int err;

	begin(c);
	err = process__status(&c->py->proc, &c->status);
	if (!err)
		err = read_held(c);
	if (err)
		return err;
	read_memory(c);
	census__read_arenas(c);
	tell_gap(c);
	c->stats.cpu_ns = clock__ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	return 0;
}

uint32_t census__reading(const struct census *c)
{
	return c->heap->stats.readings;
}

size_t census__rows(const struct census *c, const struct census_row **out)
{
	*out = c->rows;
	return c->row_cnt;
}

void census__stats(const struct census *c, struct census_stats *out)
{
	*out = c->stats;
}
