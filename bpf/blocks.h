/* SPDX-License-Identifier: GPL-2.0-only */
/* The books: young and old blocks, groups. */
#ifndef BLOCKS_H
#define BLOCKS_H

#define TPFLAGS_HAVE_GC (1ULL << 14)
#define TPFLAGS_READY (1ULL << 12)
#define TPFLAGS_TYPE_SUBCLASS (1ULL << 31)

static __always_inline __u64 block_size(const struct block *b)
{
	return BLOCK_SIZE(b->size_domain);
}

static __always_inline bool block_is_raw(const struct block *b)
{
	return BLOCK_DOMAIN(b->size_domain) == DOMAIN_RAW;
}

/* The arena number is spread, so that equal places of two arenas do not meet. */
static __always_inline __u32 place_idx(__u64 addr)
{
	return ((addr >> 4) + (addr >> 20) * 0x9e35) & cfg.young_mask;
}

static __always_inline struct young *young_place(__u32 slot, __u64 addr)
{
	__u32 idx = place_idx(addr);
	void *places;

	if (cfg.only_tgid)
		return bpf_map_lookup_elem(&young_single, &idx);
	places = bpf_map_lookup_elem(&young_blocks, &slot);
	return places ? bpf_map_lookup_elem(places, &idx) : NULL;
}

static __always_inline block_key *fresh_place(__u32 slot, __u64 addr)
{
	void *places = bpf_map_lookup_elem(&fresh_places, &slot);
	__u32 idx = place_idx(addr);

	return places ? bpf_map_lookup_elem(places, &idx) : NULL;
}

/* Non-PIE programs have addresses below 4 GiB, which must not pass: so small, or immortal (3.12+: the upper half of 32 bits). */
static __always_inline bool plausible_refcnt(__u64 n)
{
	return (n && n < 0x400000) || (n >= 0x80000000 && n <= 0xffffffff);
}

/*
 * The type of the object in a block, 0 if it holds none. The object follows a GC head and, from 3.11 on, two more words, if
 * its type says so: type flags and offset must agree, and the type's type must be a metatype.
 */
__noinline __u64 classify(__u64 addr, __u64 size)
{
	__u64 w[6] = {}, flags, meta_flags, type, pre;
	__u32 i, step = layout.gc_head_bytes == 24 ? 1 : 2;

	if (size < 16)
		return 0;
	if (bpf_probe_read_user(w, sizeof(w), (void *)addr) && bpf_probe_read_user(w, 16, (void *)addr))
		return 0;
	for (i = 0; i < 5; i += step) {
		type = w[i + 1];
		if (size < i * 8 + 16)
			break;
		if (!plausible_refcnt(w[i] & layout.refcnt_mask) || type < 0x10000 || type >> 47 || type & 7)
			continue;
		flags = read_u64(type + layout.type_flags_off);
		if (!(flags & TPFLAGS_READY))
			continue;
		pre = flags & TPFLAGS_HAVE_GC ? layout.gc_head_bytes : 0;
		if (flags & layout.preheader_flags)
			pre += layout.preheader_bytes;
		if (pre != i * 8)
			continue;
		meta_flags = read_u64(read_u64(type + 8) + layout.type_flags_off);
		if (meta_flags & TPFLAGS_TYPE_SUBCLASS)
			return type;
	}
	return 0;
}

static __noinline int group_add(struct proc_state *ps, struct block *b, int sign)
{
	struct agg_key key = { .type = b->type, .stack = b->stack, .site = b->site };
	struct agg zero = {}, *agg;
	__s64 size = block_size(b);

	agg = bpf_map_lookup_elem(&groups, &key);
	if (!agg) {
		if (sign < 0)
			return 0; /* it was counted as lost when it came */
		bpf_map_update_elem(&groups, &key, &zero, BPF_NOEXIST);
		agg = bpf_map_lookup_elem(&groups, &key);
		if (!agg) {
			lose(ps, LOSS_AGG_MAP_FULL);
			return -1;
		}
	}
	__sync_fetch_and_add(&agg->bytes, sign < 0 ? -size : size);
	__sync_fetch_and_add(&agg->objects, sign);
	return 0;
}

static __always_inline void totals_add(struct proc_state *ps, struct block *b, int sign)
{
	__s64 size = block_size(b);

	if (sign < 0)
		size = -size;
	if (block_is_raw(b)) {
		__sync_fetch_and_add(&ps->raw_bytes, size);
		__sync_fetch_and_add(&ps->raw_objects, sign);
	} else if (ps->other_gils) {
		__sync_fetch_and_add(&ps->obj_bytes, size);
		__sync_fetch_and_add(&ps->obj_objects, sign);
	} else {
		ps->obj_bytes += size;
		ps->obj_objects += sign;
	}
}

static __noinline void put_old(struct proc_state *ps, block_key key, struct block *b)
{
	if (!b->type)
		b->type = classify(BLOCK_KEY_ADDR(key), block_size(b));
	if (bpf_map_update_elem(&old_blocks, &key, b, BPF_ANY)) {
		lose(ps, LOSS_BLOCK_MAP_FULL);
		totals_add(ps, b, -1);
		return;
	}
	group_add(ps, b, 1);
}

/*
 * A forked child begins with all that its parent had. Copying that takes time, in which both go on: what the child frees or
 * uses anew is remembered as not to be copied, what the parent frees is copied at that moment.
 */
static __always_inline void not_to_inherit(block_key key)
{
	__u8 yes = 1;

	if (bpf_map_update_elem(&not_inherited, &key, &yes, BPF_ANY))
		lose_at(BLOCK_KEY_SLOT(key), LOSS_INHERITED);
}

/* An address that the child uses anew: whatever was copied for it is gone. Global, as those below: verified once. */
__noinline int forget_inherited(block_key key)
{
	struct block *b = bpf_map_lookup_elem(&old_blocks, &key), copy;
	__u32 slot = BLOCK_KEY_SLOT(key);
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);

	not_to_inherit(key);
	if (!b || !ps)
		return 0;
	copy = *b;
	if (bpf_map_delete_elem(&old_blocks, &key))
		return 0;
	group_add(ps, &copy, -1);
	totals_add(ps, &copy, -1);
	return 0;
}

/* What PS's process allocates has nothing to do with what its parent had there. */
static __always_inline void used_anew(struct proc_state *ps, block_key key)
{
	if (cfg.follow_forks && ps->inheriting)
		forget_inherited(key);
}

static __always_inline void inherited_add(struct proc_state *child, struct block *b, int sign)
{
	__s64 size = block_size(b);

	if (sign < 0)
		size = -size;
	group_add(child, b, sign);
	__sync_fetch_and_add(&child->inherited_bytes, size);
	__sync_fetch_and_add(&child->inherited_objects, sign);
	if (!block_is_raw(b)) {
		__sync_fetch_and_add(&child->inherited_obj_bytes, size);
		__sync_fetch_and_add(&child->inherited_obj_objects, sign);
	}
}

/* Once, whoever comes first: the parent that frees it, or user space that copies. */
static __noinline int inherit(__u32 child_slot, __u64 addr, const struct block *b, __u64 type)
{
	block_key key = BLOCK_KEY(child_slot, addr);
	struct proc_state *child = bpf_map_lookup_elem(&procs, &child_slot);
	struct block copy = *b, *now;

	if (!child || !child->inheriting || bpf_map_lookup_elem(&not_inherited, &key))
		return 0;
	copy.type = type;
	copy.stack = STACK_ID(child_slot, STACK_NR(b->stack));
	copy.size_domain = BLOCK_SIZE_DOMAIN(block_size(b), 0, BLOCK_DOMAIN(b->size_domain)); /* older than any fork of the child's */
	if (bpf_map_update_elem(&old_blocks, &key, &copy, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&old_blocks, &key))
			lose(child, LOSS_BLOCK_MAP_FULL);
		return 0;
	}
	inherited_add(child, &copy, 1);
	/* The child was faster. What it has made there since is its own. */
	if (!bpf_map_lookup_elem(&not_inherited, &key))
		return 0;
	now = bpf_map_lookup_elem(&old_blocks, &key);
	if (now && !BLOCK_FORKS(now->size_domain) && !bpf_map_delete_elem(&old_blocks, &key))
		inherited_add(child, &copy, -1);
	return 0;
}

/* Was the block there when this child was forked? */
static __always_inline bool before_fork(const struct proc_state *parent, const struct block *b, __u32 forks)
{
	__u16 since = parent->forks - forks, after = BLOCK_FORKS(b->size_domain) - (__u16)forks;

	return after > since;
}

/* What the books have at KEY; false: nothing. */
static __always_inline bool find_block(block_key key, struct block *out)
{
	struct young *y = young_place(BLOCK_KEY_SLOT(key), BLOCK_KEY_ADDR(key));
	struct block *b;

	if (y && y->key == key) {
		*out = y->block;
		barrier();
		if (y->key == key)
			return true;
	}
	b = bpf_map_lookup_elem(&fresh_blocks, &key) ?: bpf_map_lookup_elem(&old_blocks, &key);
	if (!b)
		return false;
	*out = *b;
	return true;
}

/* A process frees or moves a block that forked children may still have to get. */
__noinline int lend(block_key key)
{
	__u32 slot = BLOCK_KEY_SLOT(key), i;
	struct proc_state *parent = bpf_map_lookup_elem(&procs, &slot);
	struct block b;
	__u64 type;

	if (!parent || !find_block(key, &b))
		return 0;
	type = b.type;
	if (!type)
		type = classify(BLOCK_KEY_ADDR(key), block_size(&b));
	for (i = 0; i < MAX_LENDING; i++) {
		struct lending *l = &parent->lending[i];
		__u32 child;

		if (i >= parent->lending_cnt)
			break;
		/* The end of the copying waits for us: the child would not know any more that it has freed the block. */
		__sync_fetch_and_add(&l->users, 1);
		child = *(volatile __u32 *)&l->child_slot;
		if (child && before_fork(parent, &b, l->forks))
			inherit(child, BLOCK_KEY_ADDR(key), &b, type);
		__sync_fetch_and_add(&l->users, -1);
	}
	return 0;
}

/* Under the GIL only. */
static __always_inline void put_young(struct proc_state *ps, __u32 slot, block_key key, struct block *b)
{
	struct young *y = young_place(slot, BLOCK_KEY_ADDR(key));

	if (!y)
		return;
	if (y->key) {
		struct block copy = y->block;
		block_key old = y->key;

		y->key = 0;
		if (old == key)
			totals_add(ps, &copy, -1); /* its end was not seen */
		else
			put_old(ps, old, &copy);
	}
	used_anew(ps, key);
	y->block = *b;
	barrier(); /* user space reads while we write: the key comes last */
	y->key = key;
}

static __always_inline bool delete_from(void *map, block_key key, struct block *out)
{
	struct block *b = bpf_map_lookup_elem(map, &key);

	if (!b)
		return false;
	*out = *b;
	return !bpf_map_delete_elem(map, &key);
}

static __always_inline bool take_young(__u32 slot, block_key key, struct block *out)
{
	struct young *y = young_place(slot, BLOCK_KEY_ADDR(key));

	if (!y || y->key != key)
		return false;
	*out = y->block;
	y->key = 0;
	return true;
}

static __always_inline bool take_old(struct proc_state *ps, block_key key, struct block *out)
{
	if (!delete_from(&old_blocks, key, out))
		return false;
	group_add(ps, out, -1);
	return true;
}

/*
 * Takes a block out of the books. false: it is older than the trace. RAW: by a function that may run while another one does, without the
 * GIL or with another one.
 */
static __always_inline bool take(struct proc_state *ps, __u32 slot, block_key key, struct block *out, bool raw)
{
	bool found, anywhere = ps->mixed || ps->strays;

	if (cfg.follow_forks && ps->inheriting)
		not_to_inherit(key);
	if (cfg.follow_forks && ps->lending_cnt)
		lend(key);
	if (raw)
		found = (anywhere && take_young(slot, key, out)) || delete_from(&fresh_blocks, key, out) || take_old(ps, key, out);
	else
		found = take_young(slot, key, out) || take_old(ps, key, out) || (anywhere && delete_from(&fresh_blocks, key, out));
	if (found)
		totals_add(ps, out, -1);
	return found;
}

static __noinline void put_fresh(struct proc_state *ps, __u32 slot, block_key key, struct block *b)
{
	block_key *place = fresh_place(slot, BLOCK_KEY_ADDR(key)), before;
	struct block other;

	used_anew(ps, key);
	if (bpf_map_update_elem(&fresh_blocks, &key, b, BPF_NOEXIST)) {
		if (delete_from(&fresh_blocks, key, &other))
			totals_add(ps, &other, -1); /* its end was not seen */
		if (bpf_map_update_elem(&fresh_blocks, &key, b, BPF_ANY)) {
			put_old(ps, key, b);
			return;
		}
	}
	if (!place)
		return;
	before = *place;
	*place = key;
	if (before && before != key && delete_from(&fresh_blocks, before, &other))
		put_old(ps, before, &other);
}

#endif
