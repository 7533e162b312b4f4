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

/* Budget mode: hits by place since user space set it back, of all processes. Racing threads may lose some. */
__u32 recycle_hits[RECYCLE_MAX];

/* tgid -> slot, when more than one process is traced. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCS);
	__type(key, __u32);
	__type(value, __u32);
} proc_slots SEC(".maps");

/* Slots for forked children: user space puts free ones in. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_PROCS);
	__type(value, __u32);
} free_slots SEC(".maps");

/*
 * Most blocks die young. They live and die here, found by address without a hash map: 65536 places cover 1 MiB of
 * neighbouring 16-byte blocks. Only what is pushed out moves on to the maps below. One a slot, mapped into user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space: all, when there is but one process; a look-up in a map of maps costs twice as much */
	__type(key, __u32);
	__type(value, struct young);
} young_single SEC(".maps");
struct young_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, YOUNG_SLOTS); /* user space: fewer for many processes */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct young));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* user space: processes */
	__type(key, __u32);
	__type(value, __u32);
	__array(values, struct young_map);
} young_blocks SEC(".maps");

/* Blocks that outlived their place above. Element: 48 + 8 + 32 bytes, plus 16 a bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 21); /* user space: --max-blocks */
	__type(key, block_key);
	__type(value, struct block);
} old_blocks SEC(".maps");

/*
 * Recent blocks of the raw domain. Without the GIL, only what deletes a block from a hash map knows that it alone has it. A block moves
 * to the map above when another one takes its place in the array below: by then it has its type. Element: 48 + 8 + 32 bytes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * YOUNG_SLOTS); /* user space: more for many processes; twice, as threads that race leave some behind */
	__type(key, block_key);
	__type(value, struct block);
} fresh_blocks SEC(".maps");

struct fresh_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, YOUNG_SLOTS); /* user space: as many as young ones */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(block_key));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* user space: processes */
	__type(key, __u32);
	__type(value, __u32);
	__array(values, struct fresh_map);
} fresh_places SEC(".maps");

/* What a forked child freed or used anew before its parent's books were copied for it: must not be copied. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, block_key);
	__type(value, __u8);
} not_inherited SEC(".maps");

/* Outstanding bytes and objects of old_blocks by type, Python stack and native call site. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, struct agg_key);
	__type(value, struct agg);
} groups SEC(".maps");

/* Where frames are next to each other: the top ones as read at once. Under the GIL, so one per process. */
struct frames_window {
	__u64 base, floor;
	char bytes[1024];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space: processes */
	__type(key, __u32);
	__type(value, struct frames_window);
} frames_windows SEC(".maps");

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

/* Calls under way of the raw domain, and of all domains where there are several GILs: by thread, as they may run at the same time. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct pending);
} raw_calls SEC(".maps");

/*
 * New stacks for user space: room for a burst of 25,000 short ones or 8,000 of 64 frames. User space maps it twice: only where many
 * processes may import at once it is made larger.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* user space: twice that for many processes */
} events SEC(".maps");

/* Budget mode: whose credit is used up. Apart from the events, as those are read at leisure. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} gate_events SEC(".maps");

#endif
