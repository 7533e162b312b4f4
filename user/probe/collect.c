// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "batch.h"
#include "clock.h"
#include "collect.h"
#include "map.h"
#include "object.h"
#include "pool.h"
#include "python.h"
#include "survey.h"
#include "tracer.h"

#define CHUNK 8192
#define HEAD_BYTES 48
#define RUN_STEP_NS 1000000 /* of CPU time: less is a process that does nothing */
#define DEQUE_BLOCK_MAX 544 /* Modules/_collectionsmodule.c: 64 pointers and two links; and what libc rounds up */
#define SHUT_STEP_NS 1000000
#define SHUT_STEPS_MAX 40
#define REMOVING_STEPS 5 /* from a gate's being shut to its breakpoints' being gone: less than that, mostly */
#define SITE_VOTES 16 /* enough to know what a call site allocates for */

struct row_key {
	uint64_t type;
	uint32_t stack, pad;
};

struct row_value {
	size_t idx;
};

/* Where a block was allocated, natively and in Python. */
struct site_key {
	uint32_t site, stack;
};

/* What the blocks from one native call site have turned out to be used for. */
struct site {
	uint32_t votes[USE_CNT];
	uint32_t asked;
	uint32_t asked_now; /* in this reading */
	bool common; /* in a function that all kinds of callers go through: then each Python stack has votes of its own */
};

/* What a recent block was found to be; good while the same block is there. */
struct recent_type {
	block_key key;
	uint64_t type;
	uint32_t birth, stack;
};

/* Where a block is kept. */
enum book { BOOK_YOUNG, BOOK_FRESH, BOOK_OLD };

struct collector {
	struct collect *all;
	const struct tracer *tracer;
	const struct py_interp *py;
	struct survey *survey; /* budget mode */
	struct map rows;      /* row_key -> row_value */
	struct leak_row *list;
	size_t cnt, capacity;
	struct map sites;     /* struct site_key -> struct site; stack 0 for all of a site */
	struct map owners;    /* type address -> struct py_owner, of this reading */
	struct map unknown;   /* struct site_key -> struct leak_row: until all blocks were seen */
	struct map owned;     /* block address -> enum block_use, of this reading */
	struct recent_type *young_types; /* by place */
	struct map fresh_types, fresh_before; /* block_key -> struct recent_type, of this reading and of the one before */
	int64_t old_objects;  /* by the groups, at the last reading */
	uint32_t epoch, now_birth;
	uint64_t seen;        /* what had happened at the last reading */
	unsigned quiet;       /* readings since then in which nothing did */
	bool busy;            /* takes part in this reading */
	struct leak_rows out;
};

/* What is done with those elements of a chunk that are of one process. */
typedef int (*spread_fn)(struct collector *c, const void *keys, const void *values, size_t cnt);

/* One chunk of a map, as it is there and sorted by process. */
struct chunk {
	size_t key_size, value_size;
	batch_slot_fn slot_of;
	void *keys, *values;
	char *sorted_keys, *sorted_values;
};

struct collect {
	const struct tracers *tracers;
	struct collect_opts opts;
	struct collector **list;
	size_t cnt;
	struct collector *by_slot[MAX_PROCS]; /* of the engine that is being read; NULL: idle */
	uint32_t slot_cnt[MAX_PROCS], slot_at[MAX_PROCS];
	struct chunk blocks, groups;
	uint64_t *types;
	size_t *at;
	unsigned char *heads;
	struct remote_item *items;
};

static int chunk__init(struct chunk *c, size_t key_size, size_t value_size, batch_slot_fn slot_of)
{
	*c = (struct chunk){
		.key_size = key_size,
		.value_size = value_size,
		.slot_of = slot_of,
		.keys = calloc(CHUNK, key_size),
		.values = calloc(CHUNK, value_size),
		.sorted_keys = calloc(CHUNK, key_size),
		.sorted_values = calloc(CHUNK, value_size),
	};
	return c->keys && c->values && c->sorted_keys && c->sorted_values ? 0 : -ENOMEM;
}

static void chunk__free(struct chunk *c)
{
	free(c->keys);
	free(c->values);
	free(c->sorted_keys);
	free(c->sorted_values);
}

struct collect *collect__new(const struct tracers *tracers, const struct collect_opts *opts)
{
	struct collect *x = calloc(1, sizeof(*x));
	int err;

	if (!x)
		return NULL;
	x->tracers = tracers;
	x->opts = *opts;
	err = chunk__init(&x->blocks, sizeof(block_key), sizeof(struct block), batch__slot_of_block);
	err = err ?: chunk__init(&x->groups, sizeof(struct agg_key), sizeof(struct agg), batch__slot_of_group);
	x->types = calloc(CHUNK, sizeof(*x->types));
	x->at = calloc(CHUNK, sizeof(*x->at));
	x->heads = calloc(CHUNK, HEAD_BYTES);
	x->items = calloc(CHUNK, sizeof(*x->items));
	if (err || !x->types || !x->at || !x->heads || !x->items) {
		collect__free(x);
		return NULL;
	}
	return x;
}

void collect__free(struct collect *x)
{
	if (!x)
		return;
	free(x->list);
	chunk__free(&x->blocks);
	chunk__free(&x->groups);
	free(x->types);
	free(x->at);
	free(x->heads);
	free(x->items);
	free(x);
}

struct collector *collector__new(struct collect *all, const struct tracer *t, const struct py_interp *py, struct survey *survey)
{
	struct collector **list = realloc(all->list, (all->cnt + 1) * sizeof(*list));
	struct collector *c = calloc(1, sizeof(*c));
	size_t places;

	if (list)
		all->list = list;
	if (!c || !list)
		goto fail;
	engine__young(tracer__engine(t), tracer__slot(t), &places);
	c->all = all;
	c->tracer = t;
	c->py = py;
	c->survey = survey;
	map__init(&c->rows, sizeof(struct row_key), sizeof(struct row_value));
	map__init(&c->sites, sizeof(struct site_key), sizeof(struct site));
	map__init(&c->owned, sizeof(uint64_t), sizeof(uint32_t));
	map__init(&c->owners, sizeof(uint64_t), sizeof(struct py_owner));
	map__init(&c->unknown, sizeof(struct site_key), sizeof(struct leak_row));
	map__init(&c->fresh_types, sizeof(block_key), sizeof(struct recent_type));
	map__init(&c->fresh_before, sizeof(block_key), sizeof(struct recent_type));
	c->young_types = calloc(places, sizeof(*c->young_types));
	if (!c->young_types)
		goto fail;
	list[all->cnt++] = c;
	return c;
fail:
	free(c);
	return NULL;
}

void collector__free(struct collector *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->all->cnt; i++)
		if (c->all->list[i] == c)
			c->all->list[i] = c->all->list[--c->all->cnt];
	map__free(&c->rows);
	map__free(&c->sites);
	map__free(&c->owned);
	map__free(&c->owners);
	map__free(&c->unknown);
	map__free(&c->fresh_types);
	map__free(&c->fresh_before);
	free(c->list);
	free(c->young_types);
	free(c);
}

static struct leak_row *row_of(struct collector *c, uint64_t type, uint32_t stack)
{
	struct row_key key = { .type = type, .stack = stack };
	struct row_value *v;
	bool existed;

	v = map__put(&c->rows, &key, &existed);
	if (!v)
		return NULL;
	if (existed)
		return &c->list[v->idx];
	if (c->cnt == c->capacity) {
		size_t capacity = c->capacity ? 2 * c->capacity : 1024;
		struct leak_row *list = realloc(c->list, capacity * sizeof(*list));

		if (!list)
			return NULL;
		c->list = list;
		c->capacity = capacity;
	}
	v->idx = c->cnt;
	memset(&c->list[c->cnt], 0, sizeof(*c->list));
	c->list[c->cnt].type = type;
	c->list[c->cnt].stack = stack;
	return &c->list[c->cnt++];
}

static int add_sum(struct collector *c, uint64_t type, uint32_t stack, int64_t bytes, int64_t objects)
{
	struct leak_row *row = row_of(c, type, stack);

	if (!row)
		return -ENOMEM;
	row->bytes += bytes;
	row->objects += objects;
	return 0;
}

static uint64_t size_of(const struct block *b)
{
	return BLOCK_SIZE(b->size_domain);
}

static void add_age(struct collector *c, struct leak_row *row, const struct block *b)
{
	uint64_t birth_ns = (uint64_t)b->birth << BIRTH_SHIFT;
	uint32_t survived = c->epoch - b->gc_epoch;

	if (!row->oldest_ns || birth_ns < row->oldest_ns) {
		row->oldest_ns = birth_ns ? birth_ns : 1;
		row->survived_full_gcs = survived;
	}
	row->survivors += survived > 0;
}

static void merge_row(struct leak_row *into, const struct leak_row *row)
{
	into->est_bytes += row->est_bytes;
	into->est_certain += row->est_certain;
	into->est_doubt += row->est_doubt;
	into->est_objects += row->est_objects;
	into->est_garbage += row->est_garbage;
	into->samples += row->samples;
	into->kind_samples = row->kind_samples > into->kind_samples ? row->kind_samples : into->kind_samples;
	into->bytes += row->bytes;
	into->objects += row->objects;
	into->survivors += row->survivors;
	if (row->oldest_ns && (!into->oldest_ns || row->oldest_ns < into->oldest_ns)) {
		into->oldest_ns = row->oldest_ns;
		into->survived_full_gcs = row->survived_full_gcs;
	}
}

/* Sums of groups do not tell: each block is looked at. */
static bool some_are_too_young(const struct collect *x)
{
	return x->opts.min_age_ns || x->opts.survived_gcs;
}

static bool old_enough(const struct collector *c, const struct block *b)
{
	if (c->epoch - b->gc_epoch < c->all->opts.survived_gcs)
		return false;
	return !c->all->opts.min_age_ns || (uint64_t)(c->now_birth - b->birth) << BIRTH_SHIFT >= c->all->opts.min_age_ns;
}

/* What others of its site are, for a block of SIZE bytes. */
static enum block_use if_it_fits(enum block_use use, uint64_t size)
{
	return use == USE_DEQUE_BLOCK && size > DEQUE_BLOCK_MAX ? USE_UNKNOWN : use;
}

static enum block_use site_use(const struct site *s)
{
	enum block_use best = USE_UNKNOWN;
	uint32_t known = 0;

	if (s->common)
		return USE_UNKNOWN;
	for (enum block_use u = USE_UNKNOWN + 1; u < USE_CNT; u++) {
		known += s->votes[u];
		if (s->votes[u] > (best == USE_UNKNOWN ? 0 : s->votes[best]))
			best = u;
	}
	return best != USE_UNKNOWN && s->votes[best] * 2 > known ? best : USE_UNKNOWN;
}

/* Which function of the interpreter a call site is in often tells; a site is kept as the low half of its address. */
static const char *function_of(const struct collector *c, uint32_t site)
{
	uint64_t addr = (c->py->module_start & ~0xffffffffULL) | site;

	if (addr < c->py->module_start)
		addr += 1ULL << 32;
	return addr < c->py->module_end ? elf_file__function_at(c->py->elf, addr - c->py->bias) : NULL;
}

/* The API in front of the tables: where it is not optimised, it does not jump there but calls. */
static bool is_allocator_api(const char *function)
{
	return !strncmp(function, "PyMem_", 6) || !strncmp(function, "PyObject_Malloc", 15) || !strncmp(function, "PyObject_Calloc", 15) ||
	       !strncmp(function, "PyObject_Realloc", 16);
}

/* The votes that count for a block; NULL: there are none yet. */
static struct site *find_site(const struct collector *c, uint32_t addr, uint32_t stack)
{
	struct site *s = map__get(&c->sites, &(struct site_key){ addr, 0 });

	return s && s->common ? map__get(&c->sites, &(struct site_key){ addr, stack }) : s;
}

static struct site *site_of(struct collector *c, uint32_t addr, uint32_t stack)
{
	const char *function;
	enum block_use use;
	struct site *s;
	bool existed;

	s = map__put(&c->sites, &(struct site_key){ addr, 0 }, &existed);
	if (s && !existed) {
		function = addr ? function_of(c, addr) : NULL;
		s->common = !addr || (function && is_allocator_api(function)); /* 0: not known (lookouts) */
		use = function ? block_use__of_function(function) : USE_UNKNOWN;
		if (use != USE_UNKNOWN)
			s->votes[use] = 2 * SITE_VOTES;
	}
	return s && s->common && stack ? map__put(&c->sites, &(struct site_key){ addr, stack }, NULL) : s;
}

/*
 * Lookouts see a block's stack, not its site: by what the same line has made in bursts, so that a buffer that is met by the one and then by the
 * other stays in one row.
 */
static void tell_lookouts(struct collector *c, const struct block *b, enum block_use use)
{
	struct site *s = b->site && use != USE_UNKNOWN && size_of(b) > POOL_BLOCK_MAX_BYTES && survey__is_active(c->survey) ? site_of(c, 0, b->stack) : NULL;

	if (s && s->votes[use] < SITE_VOTES)
		s->votes[use]++;
}

/* The use of a block that is no object: by its owner, by what it looks like, by what its like turned out to be. */
static enum block_use use_of(struct collector *c, uint64_t addr, const struct block *b)
{
	const uint32_t *owned = map__get(&c->owned, &addr);
	struct site *s = site_of(c, b->site, b->stack);
	enum block_use use = owned ? (enum block_use)*owned : USE_UNKNOWN;

	if (!s)
		return use;
	if (!owned && s->asked < 4 * SITE_VOTES && s->asked_now < SITE_VOTES && s->votes[site_use(s)] < SITE_VOTES) {
		use = py_block__use(c->py, addr, size_of(b));
		s->asked++;
		s->asked_now++;
	}
	if (use != USE_UNKNOWN && s->votes[use] < 1U << 30)
		s->votes[use] += owned ? 4 : 1; /* an owner is proof, content is circumstance */
	use = use != USE_UNKNOWN ? use : if_it_fits(site_use(s), size_of(b));
	tell_lookouts(c, b, use);
	return use;
}

static const struct py_owner *owner_of(struct collector *c, uint64_t type)
{
	bool existed;
	struct py_owner *owner = map__put(&c->owners, &type, &existed);

	if (owner && !existed && py_type__owner(c->py, type, owner))
		memset(owner, 0, sizeof(*owner));
	return owner;
}

static void note_owned(struct collector *c, uint64_t block, uint64_t type)
{
	const struct py_owner *owner = owner_of(c, type);
	struct owned_buffer bufs[8];
	size_t cnt;

	if (!owner || (owner->container == OWNS_NOTHING && !owner->managed))
		return;
	cnt = py_object__owned(c->py, block + owner->head_bytes, owner, bufs, 8);

	for (size_t i = 0; i < cnt; i++) {
		uint32_t *use = map__put(&c->owned, &bufs[i].addr, NULL);

		if (use)
			*use = bufs[i].use;
	}
}

/* The types of those blocks whose type the programs did not see (TYPES[i] 0), from their first words. */
static void classify(struct collector *c, const block_key *keys, const struct block *blocks, uint64_t *types, size_t cnt)
{
	size_t n = 0;

	for (size_t i = 0; i < cnt; i++) {
		uint64_t size = size_of(&blocks[i]);

		if (types[i])
			continue;
		c->all->items[n++] = (struct remote_item){ .addr = BLOCK_KEY_ADDR(keys[i]), .out = c->all->heads + i * HEAD_BYTES,
						      .size = size < HEAD_BYTES ? size : HEAD_BYTES };
	}
	if (!n)
		return;
	if (remote__read_many(&c->py->mem, c->all->items, n))
		for (size_t i = 0; i < n; i++)
			c->all->items[i].ok = 0;
	n = 0;
	for (size_t i = 0; i < cnt; i++) {
		const struct remote_item *item;
		uint32_t off;

		if (types[i])
			continue;
		item = &c->all->items[n++];
		if (!item->ok)
			types[i] = TYPE_UNREADABLE;
		else if (py_block__object(c->py, item->addr, size_of(&blocks[i]), item->out, item->size, &types[i], &off))
			types[i] = 0;
	}
}

/* A block that ended unseen. Where it is kept tells how it is dropped; if there is another one by now, that stays. */
static void forget(const struct collector *c, enum book book, block_key key, size_t i)
{
	const struct engine *e = tracer__engine(c->tracer);
	size_t places;

	if (book == BOOK_YOUNG) {
		struct young *young = (struct young *)engine__young(e, tracer__slot(c->tracer), &places);

		__atomic_compare_exchange_n(&young[c->all->at[i]].key, &key, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	} else {
		bpf_map_delete_elem(book == BOOK_FRESH ? engine__books(e)->fresh_fd : engine__books(e)->old_fd, &key);
	}
}

/* How many blocks this one stands for; weight 0: it does not count. */
static struct survey_answer weigh(const struct collector *c, enum book book, block_key key, const struct block *b, uint64_t type, size_t i)
{
	struct survey_answer answer;

	switch (survey__look(c->survey, key, b, type > TYPE_UNREADABLE ? type : 0, &answer)) {
	case SURVEY_DEAD:
		forget(c, book, key, i);
		break;
	case SURVEY_COUNTS:
		return answer;
	case SURVEY_WAITING:
		break;
	}
	return (struct survey_answer){ 0 };
}

static void add_estimate(struct leak_row *row, const struct block *b, const struct survey_answer *a)
{
	double bytes = (a->bytes_each ?: size_of(b)) * a->weight;

	row->est_bytes += bytes;
	row->est_doubt += bytes * a->doubt;
	row->est_objects += a->weight;
	row->est_garbage += a->passing ? a->weight : 0;
	if (a->kind_samples == SURVEY_ALL) {
		row->est_certain += bytes;
		return;
	}
	row->samples++;
	if (a->kind_samples > row->kind_samples)
		row->kind_samples = a->kind_samples;
}

/* Those that are in a group already have only what has no type summed here, and ages taken. */
static int add_blocks(struct collector *c, const block_key *keys, const struct block *blocks, const uint64_t *types, size_t cnt,
		      enum book book)
{
	bool surveyed = survey__is_active(c->survey);

	for (size_t i = 0; i < cnt; i++) {
		bool known = blocks[i].type != 0;
		uint64_t type = types[i];
		struct survey_answer answer = { .weight = 1 };
		struct leak_row *row;

		if (surveyed)
			answer = weigh(c, book, keys[i], &blocks[i], type, i);
		if (answer.weight <= 0)
			continue;
		if (surveyed && type == TYPE_UNREADABLE)
			type = 0; /* it has moved: what its site allocates for tells */
		if (!type)
			type = use_of(c, BLOCK_KEY_ADDR(keys[i]), &blocks[i]);
		if (!old_enough(c, &blocks[i]))
			continue;
		if (type == USE_UNKNOWN) {
			const struct site_key key = { blocks[i].site, blocks[i].stack };

			row = map__put(&c->unknown, &key, NULL);
		} else {
			row = row_of(c, type, blocks[i].stack);
		}
		if (!row)
			return -ENOMEM;
		if (surveyed) {
			add_estimate(row, &blocks[i], &answer);
		} else if (book != BOOK_OLD || !known || some_are_too_young(c->all)) {
			row->bytes += size_of(&blocks[i]);
			row->objects++;
		}
		add_age(c, row, &blocks[i]);
	}
	return 0;
}

/* What the heap has gained and no line is known for; and the estimates as numbers. */
static int end_estimates(struct collector *c)
{
	struct survey_stats stats;
	struct survey_gap gap;

	survey__stats(c->survey, &stats);
	for (size_t i = 0; survey__next_gap(c->survey, &i, &gap);) {
		struct leak_row *row = row_of(c, gap.type ? gap.type : USE_UNKNOWN, 0);

		if (!row)
			return -ENOMEM;
		row->est_bytes += gap.bytes;
		row->est_objects += gap.objects;
		row->est_garbage += gap.passing ? gap.objects : 0;
	}
	c->out = (struct leak_rows){ 0 };
	for (size_t i = 0; i < c->cnt; i++) {
		struct leak_row *row = &c->list[i];

		row->bytes = row->est_bytes + 0.5;
		row->objects = row->est_objects + 0.5;
		row->bytes_error = row->est_bytes > row->est_certain ? survey__error(row->est_bytes - row->est_certain, row->samples, row->kind_samples) : 0;
		if (row->samples && row->bytes_error > 0) /* some that are followed have been replaced unseen: about as many as are seen to be */
			row->bytes_error += stats.reused * row->est_bytes + row->est_doubt;
		c->out.bytes += row->bytes;
		c->out.objects += row->objects;
	}
	c->out.obj_bytes = c->out.bytes;
	c->out.obj_objects = c->out.objects;
	c->out.rows = c->list;
	c->out.cnt = c->cnt;
	c->out.exact_ages = true;
	return 0;
}

/* By now the call sites have seen all that there is to learn from. */
static int add_unknown(struct collector *c)
{
	const void *k;
	void *v;

	for (size_t i = 0; map__next(&c->unknown, &i, &k, &v);) {
		const struct site_key *key = k;
		const struct site *s = find_site(c, key->site, key->stack);
		const struct leak_row *sum = v;
		int64_t bytes = sum->bytes + sum->est_bytes, objects = sum->objects + sum->est_objects;
		struct leak_row *row = row_of(c, s ? if_it_fits(site_use(s), objects > 0 ? bytes / objects : 0) : USE_UNKNOWN, key->stack);

		if (!row)
			return -ENOMEM;
		merge_row(row, sum);
	}
	map__free(&c->unknown);
	return 0;
}

static bool copy_young(const struct young *from, block_key *key, struct block *block)
{
	const volatile block_key *k = &from->key;

	*key = *k;
	if (!*key)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*block = from->block;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return *k == *key;
}

static void note_owners(struct collector *c, const block_key *keys, const uint64_t *types, size_t cnt)
{
	for (size_t i = 0; i < cnt && c->owned.cnt < 4 * CHUNK; i++)
		if (types[i] > TYPE_UNREADABLE)
			note_owned(c, BLOCK_KEY_ADDR(keys[i]), types[i]);
}

/*
 * For what cannot be read any more, is no object any more, or is being torn down (not while it is stopped for its last look). Another object
 * is believed: in the time of one step of the clock the same line of code can have made it at the same address. So is an object where there
 * was none: the reading before may have come between the allocation and its type.
 */
static uint64_t recall(const struct collector *c, const struct recent_type *r, block_key key, const struct block *b, uint64_t type)
{
	if (type && type != TYPE_UNREADABLE && (!r->type || !tracer__is_tearing_down(c->tracer)))
		return type;
	return !b->type && r->key == key && r->birth == b->birth && r->stack == b->stack ? r->type : type;
}

static void remember(struct recent_type *r, block_key key, const struct block *b, uint64_t type)
{
	if (type != TYPE_UNREADABLE)
		*r = (struct recent_type){ key, type, b->birth, b->stack };
}

static int add_young(struct collector *c, size_t cnt)
{
	struct collect *x = c->all;
	const block_key *keys = x->blocks.keys;
	const struct block *blocks = x->blocks.values;
	int err;

	classify(c, keys, blocks, x->types, cnt);
	for (size_t k = 0; k < cnt; k++)
		x->types[k] = recall(c, &c->young_types[x->at[k]], keys[k], &blocks[k], x->types[k]);
	note_owners(c, keys, x->types, cnt);
	err = add_blocks(c, keys, blocks, x->types, cnt, BOOK_YOUNG);
	for (size_t k = 0; k < cnt; k++)
		remember(&c->young_types[x->at[k]], keys[k], &blocks[k], x->types[k]);
	return err;
}

static int read_young(struct collector *c)
{
	struct collect *x = c->all;
	block_key *keys = x->blocks.keys;
	struct block *blocks = x->blocks.values;
	size_t places, n = 0;
	const struct young *young = engine__young(tracer__engine(c->tracer), tracer__slot(c->tracer), &places);
	int err = 0;

	for (size_t i = 0; i < places && !err; i++) {
		if (!copy_young(&young[i], &keys[n], &blocks[n]))
			continue;
		x->types[n] = blocks[n].type;
		x->at[n++] = i;
		if (n == CHUNK) {
			err = add_young(c, n);
			n = 0;
		}
	}
	return err || !n ? err : add_young(c, n);
}

/* slot_cnt[] is how many of the chunk each process has: from here on slot_at[] is where they begin when sorted. */
static void count_to_places(struct collect *x)
{
	uint32_t at = 0;

	for (size_t i = 0; i < MAX_PROCS; i++) {
		x->slot_at[i] = at;
		at += x->slot_cnt[i];
		x->slot_cnt[i] = 0;
	}
}

struct spread {
	struct collect *x;
	struct chunk *chunk;
	spread_fn fn;
};

static int spread_chunk(void *ctx, const void *k, const void *v, size_t cnt)
{
	const struct spread *s = ctx;
	struct collect *x = s->x;
	const struct chunk *c = s->chunk;
	const char *keys = k, *values = v;
	int err = 0;

	memset(x->slot_cnt, 0, sizeof(x->slot_cnt));
	for (size_t i = 0; i < cnt; i++)
		x->slot_cnt[c->slot_of(keys + i * c->key_size, values + i * c->value_size) % MAX_PROCS]++;
	count_to_places(x);
	for (size_t i = 0; i < cnt; i++) {
		uint32_t slot = c->slot_of(keys + i * c->key_size, values + i * c->value_size) % MAX_PROCS;
		size_t to = x->slot_at[slot] + x->slot_cnt[slot]++;

		memcpy(c->sorted_keys + to * c->key_size, keys + i * c->key_size, c->key_size);
		memcpy(c->sorted_values + to * c->value_size, values + i * c->value_size, c->value_size);
	}
	for (size_t i = 0; i < MAX_PROCS && !err; i++)
		if (x->slot_cnt[i] && x->by_slot[i])
			err = s->fn(x->by_slot[i], c->sorted_keys + x->slot_at[i] * c->key_size,
				    c->sorted_values + x->slot_at[i] * c->value_size, x->slot_cnt[i]);
	return err;
}

/* A map of the engine, each process's elements to its collector. */
static int spread_map(struct collect *x, int fd, struct chunk *chunk, spread_fn fn)
{
	struct spread s = { x, chunk, fn };

	return batch__each(fd, chunk->keys, chunk->values, CHUNK, spread_chunk, &s);
}

static int sum_groups(struct collector *c, const void *k, const void *v, size_t cnt)
{
	const struct agg_key *keys = k;
	const struct agg *groups = v;
	int err = 0;

	if (survey__is_active(c->survey))
		return 0; /* the end of many was not seen */
	for (size_t i = 0; i < cnt && !err; i++) {
		c->old_objects += groups[i].objects;
		if (keys[i].type && groups[i].objects && !some_are_too_young(c->all))
			err = add_sum(c, keys[i].type, keys[i].stack, groups[i].bytes, groups[i].objects);
	}
	return err;
}

static int sum_untyped_groups(struct collector *c, const void *k, const void *v, size_t cnt)
{
	const struct agg_key *keys = k;
	const struct agg *groups = v;
	int err = 0;

	if (survey__is_active(c->survey))
		return 0;
	for (size_t i = 0; i < cnt && !err; i++) {
		const struct site *s = find_site(c, keys[i].site, keys[i].stack);

		if (!keys[i].type && groups[i].objects)
			err = add_sum(c, s ? site_use(s) : USE_UNKNOWN, keys[i].stack, groups[i].bytes, groups[i].objects);
	}
	return err;
}

static int scan_old(struct collector *c, const void *keys, const void *v, size_t cnt)
{
	const struct block *blocks = v;
	uint64_t *types = c->all->types;

	for (size_t i = 0; i < cnt; i++)
		types[i] = blocks[i].type;
	classify(c, keys, blocks, types, cnt);
	note_owners(c, keys, types, cnt);
	return add_blocks(c, keys, blocks, types, cnt, BOOK_OLD);
}

static int scan_fresh(struct collector *c, const void *k, const void *v, size_t cnt)
{
	const block_key *keys = k;
	const struct block *blocks = v;
	uint64_t *types = c->all->types;
	int err;

	for (size_t i = 0; i < cnt; i++)
		types[i] = blocks[i].type;
	classify(c, keys, blocks, types, cnt);
	for (size_t i = 0; i < cnt; i++) {
		const struct recent_type *before = map__get(&c->fresh_before, &keys[i]);

		if (before)
			types[i] = recall(c, before, keys[i], &blocks[i], types[i]);
	}
	note_owners(c, keys, types, cnt);
	err = add_blocks(c, keys, blocks, types, cnt, BOOK_FRESH);
	for (size_t i = 0; i < cnt; i++) {
		struct recent_type *r = map__put(&c->fresh_types, &keys[i], NULL);

		if (r)
			remember(r, keys[i], &blocks[i], types[i]);
	}
	return err;
}

static void begin(struct collector *c)
{
	const void *key;
	void *value;

	c->now_birth = clock__now_ns() >> BIRTH_SHIFT;
	c->epoch = tracer__state(c->tracer)->gc_epoch;
	c->cnt = 0;
	c->old_objects = 0;
	map__free(&c->rows);
	map__init(&c->rows, sizeof(struct row_key), sizeof(struct row_value));
	map__free(&c->fresh_before);
	c->fresh_before = c->fresh_types;
	map__init(&c->fresh_types, sizeof(block_key), sizeof(struct recent_type));
	map__free(&c->owned);
	map__init(&c->owned, sizeof(uint64_t), sizeof(uint32_t));
	map__free(&c->owners);
	map__init(&c->owners, sizeof(uint64_t), sizeof(struct py_owner));
	for (size_t i = 0; map__next(&c->sites, &i, &key, &value);)
		((struct site *)value)->asked_now = 0;
}

/*
 * A process in which nothing happens costs nothing: its rows stay. Not before a whole quiet interval between two readings: what was
 * allocated just before the last one may not have been an object yet.
 */
static bool is_busy(struct collector *c)
{
	const struct proc_state *ps = tracer__state(c->tracer);
	uint64_t seen = ps->events + ps->raw_events + ps->gc_epoch + ps->inherited_objects + 1;
	struct gate *gate = survey__is_active(c->survey) ? tracer__gate(c->tracer) : NULL;
	struct gate_stats stats;

	if (gate) { /* most of what happens is not seen: that it runs must do */
		gate__stats(gate, &stats);
		seen += stats.cpu_ns / RUN_STEP_NS;
	}
	c->quiet = seen == c->seen ? c->quiet + 1 : 0;
	c->seen = seen;
	return c->quiet < 2 || c->all->opts.min_age_ns;
}

static bool is_any_open(const struct collect *x)
{
	for (size_t i = 0; i < x->cnt; i++) {
		const struct proc_state *ps = tracer__state(x->list[i]->tracer);
		uint32_t phase = ps ? __atomic_load_n(&ps->gate.phase, __ATOMIC_ACQUIRE) : GATE_SHUT;

		if (phase == GATE_BURST || phase == GATE_TAIL)
			return true;
	}
	return false;
}

/*
 * Going through a large map is one system call of several milliseconds, as most buckets are empty, and a kernel that does not preempt itself lets nobody else have the
 * processor meanwhile: not the gate's thread either, which is to take the probes away (11 to 15 ms of an opening instead of 7 were seen). What lasts longer than
 * SHUT_STEPS_MAX has few hits: its end is not waited for.
 */
static void await_shut(const struct collect *x)
{
	const struct timespec step = { .tv_nsec = SHUT_STEP_NS };
	int more = 0;

	for (int i = 0; i < SHUT_STEPS_MAX; i++) {
		if (is_any_open(x))
			more = REMOVING_STEPS;
		else if (!more--)
			break;
		nanosleep(&step, NULL);
	}
}

static int begin_engine(struct collect *x, const struct engine *e, bool *any, bool *surveyed)
{
	int err = 0;

	memset(x->by_slot, 0, sizeof(x->by_slot));
	*any = *surveyed = false;
	for (size_t i = 0; i < x->cnt && !err; i++) {
		struct collector *c = x->list[i];

		if (tracer__engine(c->tracer) != e)
			continue;
		c->busy = is_busy(c);
		if (!c->busy)
			continue;
		*any = true;
		if (c->survey)
			err = survey__begin(c->survey);
		if (err)
			break;
		*surveyed |= survey__is_active(c->survey);
		x->by_slot[tracer__slot(c->tracer)] = c;
		begin(c);
		err = read_young(c);
	}
	return err;
}

static int end_engine(struct collect *x, const struct engine *e, bool scanned)
{
	int err = 0;

	for (size_t i = 0; i < x->cnt && !err; i++) {
		struct collector *c = x->list[i];
		const struct proc_state *ps = tracer__state(c->tracer);

		if (tracer__engine(c->tracer) != e || !c->busy)
			continue;
		err = add_unknown(c);
		if (survey__is_active(c->survey)) {
			err = err ?: end_estimates(c);
			continue;
		}
		c->out = (struct leak_rows){
			.rows = c->list,
			.cnt = c->cnt,
			.obj_objects = ps->obj_objects + ps->inherited_obj_objects,
			.obj_bytes = ps->obj_bytes + ps->inherited_obj_bytes,
			.objects = ps->obj_objects + ps->raw_objects + ps->inherited_objects,
			.bytes = ps->obj_bytes + ps->raw_bytes + ps->inherited_bytes,
			.exact_ages = scanned,
		};
	}
	return err;
}

static int read_engine(struct collect *x, const struct engine *e, bool full)
{
	const struct books *books = engine__books(e);
	int64_t old_objects = 0;
	bool any, scan, surveyed;
	int err = begin_engine(x, e, &any, &surveyed);

	if (err || !any)
		return err;
	await_shut(x);
	err = spread_map(x, books->fresh_fd, &x->blocks, scan_fresh);
	err = err ?: spread_map(x, books->groups_fd, &x->groups, sum_groups);
	for (size_t i = 0; i < MAX_PROCS; i++)
		old_objects += x->by_slot[i] ? x->by_slot[i]->old_objects : 0;
	scan = some_are_too_young(x) || surveyed || (uint64_t)old_objects <= (full ? x->opts.full_scan : x->opts.tick_scan);
	if (!err && scan) {
		await_shut(x);
		err = spread_map(x, books->old_fd, &x->blocks, scan_old);
	} else if (!err) {
		err = spread_map(x, books->groups_fd, &x->groups, sum_untyped_groups);
	}
	return err ?: end_engine(x, e, scan);
}

int collect__read(struct collect *x, bool full)
{
	struct engine *const *engines;
	size_t cnt = tracers__engines(x->tracers, &engines);
	int err = 0;

	for (size_t i = 0; i < cnt && !err; i++)
		err = read_engine(x, engines[i], full);
	return err;
}

const struct leak_rows *collector__rows(const struct collector *c)
{
	return &c->out;
}
