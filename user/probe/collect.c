// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "collect.h"
#include "map.h"
#include "object.h"
#include "python.h"
#include "tracer.h"

#define CHUNK 8192
#define HEAD_BYTES 48
#define SITE_VOTES 16 /* enough to know what a call site allocates for */

struct row_key {
	uint64_t type;
	uint32_t stack, pad;
};

struct row_value {
	size_t idx;
};

/* Blocks whose use is not known yet. */
struct unknown_key {
	uint32_t site, stack;
};

/* What the blocks from one native call site have turned out to be used for. */
struct site {
	uint32_t votes[USE_CNT];
	uint32_t asked;
	uint32_t asked_now; /* in this reading */
};

/* What a young block was found to be; good while the same block is there. */
struct young_type {
	block_key key;
	uint64_t type;
	uint32_t birth, stack;
};

struct collector {
	const struct tracer *tracer;
	const struct py_interp *py;
	struct collect_opts opts;
	struct map rows;      /* row_key -> row_value */
	struct leak_row *list;
	size_t cnt, capacity;
	struct map sites;     /* u32 -> struct site */
	struct map owners;    /* type address -> struct py_owner, of this reading */
	struct map unknown;   /* struct unknown_key -> struct leak_row: until all blocks were seen */
	struct map owned;     /* block address -> enum block_use, of this reading */
	struct young_type *young_types;
	int64_t old_objects;  /* by the groups, at the last reading */
	uint32_t epoch, now_birth;
	/* buffers of one chunk */
	block_key *keys;
	struct block *blocks;
	struct agg_key *group_keys;
	struct agg *groups;
	unsigned char *heads;
	struct remote_item *items;
};

struct collector *collector__new(const struct tracer *t, const struct py_interp *py, const struct collect_opts *opts)
{
	struct collector *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->tracer = t;
	c->py = py;
	c->opts = *opts;
	map__init(&c->rows, sizeof(struct row_key), sizeof(struct row_value));
	map__init(&c->sites, sizeof(uint32_t), sizeof(struct site));
	map__init(&c->owned, sizeof(uint64_t), sizeof(uint32_t));
	map__init(&c->owners, sizeof(uint64_t), sizeof(struct py_owner));
	map__init(&c->unknown, sizeof(struct unknown_key), sizeof(struct leak_row));
	c->young_types = calloc(YOUNG_SLOTS, sizeof(*c->young_types));
	c->keys = calloc(CHUNK, sizeof(*c->keys));
	c->blocks = calloc(CHUNK, sizeof(*c->blocks));
	c->group_keys = calloc(CHUNK, sizeof(*c->group_keys));
	c->groups = calloc(CHUNK, sizeof(*c->groups));
	c->heads = calloc(CHUNK, HEAD_BYTES);
	c->items = calloc(CHUNK, sizeof(*c->items));
	if (!c->young_types || !c->keys || !c->blocks || !c->group_keys || !c->groups || !c->heads || !c->items) {
		collector__free(c);
		return NULL;
	}
	return c;
}

void collector__free(struct collector *c)
{
	if (!c)
		return;
	map__free(&c->rows);
	map__free(&c->sites);
	map__free(&c->owned);
	map__free(&c->owners);
	map__free(&c->unknown);
	free(c->list);
	free(c->young_types);
	free(c->keys);
	free(c->blocks);
	free(c->group_keys);
	free(c->groups);
	free(c->heads);
	free(c->items);
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
	return b->size_domain & ((1ULL << BLOCK_SIZE_BITS) - 1);
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
	into->bytes += row->bytes;
	into->objects += row->objects;
	into->survivors += row->survivors;
	if (row->oldest_ns && (!into->oldest_ns || row->oldest_ns < into->oldest_ns)) {
		into->oldest_ns = row->oldest_ns;
		into->survived_full_gcs = row->survived_full_gcs;
	}
}

static bool old_enough(const struct collector *c, const struct block *b)
{
	return !c->opts.min_age_ns || (uint64_t)(c->now_birth - b->birth) << BIRTH_SHIFT >= c->opts.min_age_ns;
}

static enum block_use site_use(const struct site *s)
{
	enum block_use best = USE_UNKNOWN;
	uint32_t known = 0;

	for (enum block_use u = USE_UNKNOWN + 1; u < USE_CNT; u++) {
		known += s->votes[u];
		if (s->votes[u] > (best == USE_UNKNOWN ? 0 : s->votes[best]))
			best = u;
	}
	return best != USE_UNKNOWN && s->votes[best] * 2 > known ? best : USE_UNKNOWN;
}

/* Which function of the interpreter a call site is in often tells; a site is kept as the low half of its address. */
static enum block_use use_by_function(const struct collector *c, uint32_t site)
{
	uint64_t addr = (c->py->module_start & ~0xffffffffULL) | site;
	const char *name;

	if (addr < c->py->module_start)
		addr += 1ULL << 32;
	if (addr >= c->py->module_end)
		return USE_UNKNOWN;
	name = elf_file__function_at(c->py->elf, addr - c->py->bias);
	return name ? block_use__of_function(name) : USE_UNKNOWN;
}

static struct site *site_of(struct collector *c, uint32_t addr)
{
	bool existed;
	struct site *s = map__put(&c->sites, &addr, &existed);
	enum block_use use;

	if (!s || existed)
		return s;
	use = use_by_function(c, addr);
	if (use != USE_UNKNOWN)
		s->votes[use] = 2 * SITE_VOTES;
	return s;
}

/* The use of a block that is no object: by its owner, by what it looks like, by what its like turned out to be. */
static enum block_use use_of(struct collector *c, uint64_t addr, const struct block *b)
{
	const uint32_t *owned = map__get(&c->owned, &addr);
	struct site *s = site_of(c, b->site);
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
	return use != USE_UNKNOWN ? use : site_use(s);
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
		c->items[n++] = (struct remote_item){ .addr = BLOCK_KEY_ADDR(keys[i]), .out = c->heads + i * HEAD_BYTES,
						      .size = size < HEAD_BYTES ? size : HEAD_BYTES };
	}
	if (!n)
		return;
	if (remote__read_many(&c->py->mem, c->items, n))
		for (size_t i = 0; i < n; i++)
			c->items[i].ok = 0;
	n = 0;
	for (size_t i = 0; i < cnt; i++) {
		const struct remote_item *item;
		uint32_t off;

		if (types[i])
			continue;
		item = &c->items[n++];
		if (!item->ok)
			types[i] = TYPE_UNREADABLE;
		else if (py_block__object(c->py, item->addr, size_of(&blocks[i]), item->out, item->size, &types[i], &off))
			types[i] = 0;
	}
}

/* ADD_SUMS: these blocks are in no group. Otherwise only what has no type is summed here, and ages are taken. */
static int add_blocks(struct collector *c, const block_key *keys, const struct block *blocks, const uint64_t *types, size_t cnt,
		      bool add_sums)
{
	for (size_t i = 0; i < cnt; i++) {
		bool known = blocks[i].type != 0;
		uint64_t type = types[i];

		struct leak_row *row;

		if (!type)
			type = use_of(c, BLOCK_KEY_ADDR(keys[i]), &blocks[i]);
		if (!old_enough(c, &blocks[i]))
			continue;
		if (type == USE_UNKNOWN) {
			const struct unknown_key key = { blocks[i].site, blocks[i].stack };

			row = map__put(&c->unknown, &key, NULL);
		} else {
			row = row_of(c, type, blocks[i].stack);
		}
		if (!row)
			return -ENOMEM;
		if (add_sums || !known || c->opts.min_age_ns) {
			row->bytes += size_of(&blocks[i]);
			row->objects++;
		}
		add_age(c, row, &blocks[i]);
	}
	return 0;
}

/* By now the call sites have seen all that there is to learn from. */
static int add_unknown(struct collector *c)
{
	const void *k;
	void *v;

	for (size_t i = 0; map__next(&c->unknown, &i, &k, &v);) {
		const struct unknown_key *key = k;
		const struct site *s = map__get(&c->sites, &key->site);
		struct leak_row *row = row_of(c, s ? site_use(s) : USE_UNKNOWN, key->stack);

		if (!row)
			return -ENOMEM;
		merge_row(row, v);
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

static int read_young(struct collector *c)
{
	uint64_t *types = malloc(CHUNK * sizeof(*types));
	size_t places, *at = malloc(CHUNK * sizeof(*at)), n = 0;
	const struct young *young = tracer__young(c->tracer, &places);
	int err = types && at ? 0 : -ENOMEM;

	for (size_t i = 0; i <= places && !err; i++) {
		if (i < places && copy_young(&young[i], &c->keys[n], &c->blocks[n])) {
			const struct young_type *yt = &c->young_types[i];
			const struct block *b = &c->blocks[n];

			types[n] = b->type;
			if (!types[n] && yt->key == c->keys[n] && yt->birth == b->birth && yt->stack == b->stack)
				types[n] = yt->type;
			at[n++] = i;
		}
		if (n == CHUNK || (i == places && n)) {
			classify(c, c->keys, c->blocks, types, n);
			note_owners(c, c->keys, types, n);
			err = add_blocks(c, c->keys, c->blocks, types, n, true);
			for (size_t k = 0; k < n; k++)
				if (types[k] != TYPE_UNREADABLE)
					c->young_types[at[k]] = (struct young_type){ c->keys[k], types[k], c->blocks[k].birth,
										     c->blocks[k].stack };
			n = 0;
		}
	}
	free(types);
	free(at);
	return err;
}

typedef int (*chunk_fn)(struct collector *c, size_t cnt);

/* All of a hash map in chunks. A map that changes meanwhile may show an element twice or not at all, never a wrong one. */
static int each_chunk(struct collector *c, int fd, void *keys, void *values, chunk_fn fn)
{
	uint64_t batch;
	void *in = NULL;
	int err = 0;

	while (!err) {
		uint32_t cnt = CHUNK;

		err = bpf_map_lookup_batch(fd, in, &batch, keys, values, &cnt, NULL);
		err = err ? -errno : 0;
		if (err && err != -ENOENT)
			break;
		if (cnt) {
			int failed = fn(c, cnt);

			if (failed)
				return failed;
		}
		in = &batch;
	}
	return err == -ENOENT ? 0 : err;
}

static int sum_groups(struct collector *c, size_t cnt)
{
	int err = 0;

	for (size_t i = 0; i < cnt && !err; i++) {
		const struct agg_key *key = &c->group_keys[i];
		const struct agg *agg = &c->groups[i];

		c->old_objects += agg->objects;
		if (key->type && agg->objects)
			err = add_sum(c, key->type, key->stack, agg->bytes, agg->objects);
	}
	return err;
}

static int sum_untyped_groups(struct collector *c, size_t cnt)
{
	int err = 0;

	for (size_t i = 0; i < cnt && !err; i++) {
		const struct agg_key *key = &c->group_keys[i];
		const struct site *s = map__get(&c->sites, &key->site);

		if (!key->type && c->groups[i].objects)
			err = add_sum(c, s ? site_use(s) : USE_UNKNOWN, key->stack, c->groups[i].bytes, c->groups[i].objects);
	}
	return err;
}

static int count_groups(struct collector *c, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		c->old_objects += c->groups[i].objects;
	return 0;
}

static int scan_blocks(struct collector *c, size_t cnt)
{
	uint64_t *types = malloc(cnt * sizeof(*types));
	int err;

	if (!types)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		types[i] = c->blocks[i].type;
	classify(c, c->keys, c->blocks, types, cnt);
	note_owners(c, c->keys, types, cnt);
	err = add_blocks(c, c->keys, c->blocks, types, cnt, false);
	free(types);
	return err;
}

static void begin(struct collector *c)
{
	struct timespec ts;
	const void *key;
	void *value;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	c->now_birth = (ts.tv_sec * 1000000000ULL + ts.tv_nsec) >> BIRTH_SHIFT;
	c->epoch = tracer__state(c->tracer)->gc_epoch;
	c->cnt = 0;
	c->old_objects = 0;
	map__free(&c->rows);
	map__init(&c->rows, sizeof(struct row_key), sizeof(struct row_value));
	map__free(&c->owned);
	map__init(&c->owned, sizeof(uint64_t), sizeof(uint32_t));
	map__free(&c->owners);
	map__init(&c->owners, sizeof(uint64_t), sizeof(struct py_owner));
	for (size_t i = 0; map__next(&c->sites, &i, &key, &value);)
		((struct site *)value)->asked_now = 0;
}

int collector__read(struct collector *c, bool full, struct leak_rows *out)
{
	const struct proc_state *ps = tracer__state(c->tracer);
	int groups = tracer__groups_fd(c->tracer), err;
	bool scan;

	begin(c);
	err = read_young(c);
	err = err ?: each_chunk(c, groups, c->group_keys, c->groups, c->opts.min_age_ns ? count_groups : sum_groups);
	scan = c->opts.min_age_ns || (uint64_t)c->old_objects <= (full ? c->opts.full_scan : c->opts.tick_scan);
	if (!err && scan)
		err = each_chunk(c, tracer__old_fd(c->tracer), c->keys, c->blocks, scan_blocks);
	else if (!err)
		err = each_chunk(c, groups, c->group_keys, c->groups, sum_untyped_groups);
	err = err ?: add_unknown(c);
	if (err)
		return err;
	out->rows = c->list;
	out->cnt = c->cnt;
	out->obj_objects = ps->obj_objects;
	out->obj_bytes = ps->obj_bytes;
	out->objects = ps->obj_objects + ps->raw_objects;
	out->bytes = ps->obj_bytes + ps->raw_bytes;
	out->exact_ages = scan;
	return 0;
}
