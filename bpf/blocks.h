/* SPDX-License-Identifier: GPL-2.0-only */
/* The books: young and old blocks, groups. */
#ifndef BLOCKS_H
#define BLOCKS_H

#define TPFLAGS_HAVE_GC (1ULL << 14)
#define TPFLAGS_READY (1ULL << 12)
#define TPFLAGS_TYPE_SUBCLASS (1ULL << 31)

static __always_inline __u64 block_size(const struct block *b)
{
	return b->size_domain & ((1ULL << BLOCK_SIZE_BITS) - 1);
}

static __always_inline bool block_is_raw(const struct block *b)
{
	return b->size_domain >> BLOCK_SIZE_BITS == DOMAIN_RAW;
}

static __always_inline __u32 young_idx(__u32 slot, __u64 addr)
{
	/* The arena number is spread, so that equal places of two arenas do not meet. */
	return slot * YOUNG_SLOTS + (((addr >> 4) + (addr >> 20) * 0x9e35) & (YOUNG_SLOTS - 1));
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
	__u32 i;

	if (size < 16)
		return 0;
	if (bpf_probe_read_user(w, sizeof(w), (void *)addr) && bpf_probe_read_user(w, 16, (void *)addr))
		return 0;
	for (i = 0; i < 6; i += 2) {
		type = w[i + 1];
		if (size < i * 8 + 16)
			break;
		if (!plausible_refcnt(w[i]) || type < 0x10000 || type >> 47 || type & 7)
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

/* Under the GIL only. */
static __always_inline void put_young(struct proc_state *ps, __u32 slot, block_key key, struct block *b)
{
	__u32 idx = young_idx(slot, BLOCK_KEY_ADDR(key));
	struct young *y = bpf_map_lookup_elem(&young_blocks, &idx);

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
	y->block = *b;
	barrier(); /* user space reads while we write: the key comes last */
	y->key = key;
}

/* Takes a block out of the books. false: it is older than the trace. */
static __always_inline bool take(struct proc_state *ps, __u32 slot, block_key key, struct block *out, bool gil)
{
	struct block *b;

	if (gil) {
		__u32 idx = young_idx(slot, BLOCK_KEY_ADDR(key));
		struct young *y = bpf_map_lookup_elem(&young_blocks, &idx);

		if (y && y->key == key) {
			*out = y->block;
			y->key = 0;
			totals_add(ps, out, -1);
			return true;
		}
	}
	b = bpf_map_lookup_elem(&old_blocks, &key);
	if (!b)
		return false;
	*out = *b;
	if (bpf_map_delete_elem(&old_blocks, &key))
		return false;
	group_add(ps, out, -1);
	totals_add(ps, out, -1);
	return true;
}

#endif
