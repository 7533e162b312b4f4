/* SPDX-License-Identifier: GPL-2.0-only */
/* Every map: what it is for and why that size. Sizes marked "user space" are set before load. */
#ifndef MAPS_H
#define MAPS_H

const volatile struct tracer_config cfg;
const volatile struct walk_layout layout;

/* State per traced process; mapped into user space, so nothing is copied to be looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space: processes */
	__type(key, __u32);
	__type(value, struct proc_state);
} procs SEC(".maps");

/* tgid -> slot, when more than one process is traced. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCS);
	__type(key, __u32);
	__type(value, __u32);
} proc_slots SEC(".maps");

/*
 * Most blocks die young. They live and die here, found by address without a hash map: 65536 places cover 1 MiB of
 * neighbouring 16-byte blocks. Only what is pushed out moves on to the maps below. Mapped into user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, YOUNG_SLOTS); /* user space: times processes */
	__type(key, __u32);
	__type(value, struct young);
} young_blocks SEC(".maps");

/* Blocks that outlived their place above. Element: 48 + 8 + 32 bytes, plus 16 a bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 21); /* user space: --max-blocks */
	__type(key, block_key);
	__type(value, struct block);
} old_blocks SEC(".maps");

/* Outstanding bytes and objects of old_blocks by type, Python stack and native call site. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, struct agg_key);
	__type(value, struct agg);
} groups SEC(".maps");

/* Hash of all (code, lasti) of a stack -> its id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, __u64);
	__type(value, __u32);
} stacks SEC(".maps");

/* Ids taken; makes them unique without the fetching atomics that 5.10 has not. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, __u64);
} stack_ids SEC(".maps");

/* Code objects seen on a stack -> whether user space has them, and how often one was freed at that address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, block_key);
	__type(value, struct code_state);
} codes SEC(".maps");

/* One byte per hashed address: may this be a code object of the map above? Spares a look-up on every free. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << CODE_FILTER_BITS);
	__type(key, __u32);
	__type(value, __u8);
} code_filter SEC(".maps");

/* Raw-domain calls under way: they may run without the GIL, so by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct pending);
} raw_calls SEC(".maps");

/* New stacks for user space: room for a burst of 20,000 short ones or 8,000 of 64 frames. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

#endif
