// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <bpf/bpf.h>

#include "batch.h"
#include "books.h"

#define CHUNK 4096
#define LENDERS_WAITS_MAX 50000 /* a second and more */

typedef void (*one_fn)(void *ctx, const void *key, const void *value);

struct each {
	size_t key_size, value_size;
	one_fn fn;
	void *ctx;
};

static int each_chunk(void *ctx, const void *keys, const void *values, size_t cnt)
{
	const struct each *each = ctx;

	for (size_t i = 0; i < cnt; i++)
		each->fn(each->ctx, (const char *)keys + i * each->key_size, (const char *)values + i * each->value_size);
	return 0;
}

static int each_one(int fd, size_t key_size, size_t value_size, one_fn fn, void *ctx)
{
	struct each each = { key_size, value_size, fn, ctx };
	void *keys = malloc(CHUNK * key_size), *values = malloc(CHUNK * value_size);
	int err = keys && values ? batch__each(fd, keys, values, CHUNK, each_chunk, &each) : -ENOMEM;

	free(keys);
	free(values);
	return err;
}

struct sweep {
	bool (*is_dead)(const void *ctx, uint32_t slot);
	const void *ctx;
	int fd;
	batch_slot_fn slot_of;
};

static void sweep_one(void *ctx, const void *key, const void *value)
{
	const struct sweep *s = ctx;

	if (s->is_dead(s->ctx, s->slot_of(key, value)))
		bpf_map_delete_elem(s->fd, key);
}

static int sweep_map(struct sweep *s, int fd, size_t key_size, size_t value_size, batch_slot_fn slot_of)
{
	s->fd = fd;
	s->slot_of = slot_of;
	return each_one(fd, key_size, value_size, sweep_one, s);
}

int books__sweep(const struct books *b, bool (*is_dead)(const void *ctx, uint32_t slot), const void *ctx)
{
	struct sweep s = { .is_dead = is_dead, .ctx = ctx };
	int err;

	err = sweep_map(&s, b->old_fd, sizeof(block_key), sizeof(struct block), batch__slot_of_block);
	err = err ?: sweep_map(&s, b->fresh_fd, sizeof(block_key), sizeof(struct block), batch__slot_of_block);
	err = err ?: sweep_map(&s, b->groups_fd, sizeof(struct agg_key), sizeof(struct agg), batch__slot_of_group);
	err = err ?: sweep_map(&s, b->stacks_fd, sizeof(uint64_t), sizeof(uint32_t), batch__slot_of_stack);
	err = err ?: sweep_map(&s, b->stack_ids_fd, sizeof(uint32_t), sizeof(uint64_t), batch__slot_of_stack_id);
	err = err ?: sweep_map(&s, b->codes_fd, sizeof(block_key), sizeof(struct code_state), batch__slot_of_block);
	return err ?: sweep_map(&s, b->not_inherited_fd, sizeof(block_key), sizeof(uint8_t), batch__slot_of_block);
}

struct inheritance {
	const struct books *books;
	uint32_t parent_slot, child_slot, forks;
	int err;
};

static void inherit_one(void *ctx, const void *key, const void *value __attribute__((unused)))
{
	struct inheritance *in = ctx;
	uint64_t args[3] = { *(const block_key *)key, in->child_slot, in->forks };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

	if (BLOCK_KEY_SLOT(args[0]) != in->parent_slot || in->err)
		return;
	if (bpf_prog_test_run_opts(in->books->inherit_fd, &opts))
		in->err = -errno;
}

static void forget_tombstone(void *ctx, const void *key, const void *value __attribute__((unused)))
{
	const struct inheritance *in = ctx;

	if (BLOCK_KEY_SLOT(*(const block_key *)key) == in->child_slot)
		bpf_map_delete_elem(in->books->not_inherited_fd, key);
}

static struct lending *lending_of(struct proc_state *ps, uint32_t child_slot)
{
	for (int i = 0; i < MAX_LENDING; i++)
		if (ps->lending[i].child_slot == child_slot)
			return &ps->lending[i];
	return NULL;
}

/*
 * Each hit of a free costs the parent a look at the list: short it must be. Returns when no program of the parent is still about to
 * copy, also one whose processor was taken away in the middle.
 */
static void end_lending(struct proc_state *ps, struct lending *l)
{
	const struct timespec pause = { .tv_nsec = 20000 };

	__atomic_store_n(&l->child_slot, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < LENDERS_WAITS_MAX && __atomic_load_n(&l->users, __ATOMIC_SEQ_CST); i++)
		nanosleep(&pause, NULL);
	while (ps->lending_cnt && !ps->lending[ps->lending_cnt - 1].child_slot) {
		uint32_t cnt = --ps->lending_cnt;

		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (ps->lending[cnt].child_slot) { /* another fork, just now */
			ps->lending_cnt = cnt + 1;
			break;
		}
	}
}

int books__inherit(const struct books *b, const struct bookkeeper *parent, const struct bookkeeper *child)
{
	struct lending *l = lending_of(parent->state, child->slot);
	struct inheritance in = { .books = b, .parent_slot = parent->slot, .child_slot = child->slot };
	int err = 0;

	if (!l)
		return -ENOENT;
	in.forks = l->forks;
	if (!child->state->active)
		goto out; /* it has become another program, or ended */
	for (size_t i = 0; i < parent->young_cnt; i++)
		if (parent->young[i].key)
			inherit_one(&in, &parent->young[i].key, NULL);
	/* In the order in which a block moves: what is passed by once is met again. */
	err = each_one(b->fresh_fd, sizeof(block_key), sizeof(struct block), inherit_one, &in);
	err = err ?: each_one(b->old_fd, sizeof(block_key), sizeof(struct block), inherit_one, &in);
	err = err ?: in.err;
	if (err)
		child->state->loss[LOSS_INHERITED]++;
out:
	end_lending(parent->state, l);
	child->state->inheriting = 0;
	each_one(b->not_inherited_fd, sizeof(block_key), sizeof(uint8_t), forget_tombstone, &in);
	return err;
}
