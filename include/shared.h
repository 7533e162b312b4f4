/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The border between the BPF programs and user space: every map's key and value. Fixed-width types only;
 * compiled by both sides, sizes asserted.
 */
#ifndef PYLEAK_SHARED_H
#define PYLEAK_SHARED_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif
#include "walk_layout.h"

#define MAX_PROCS 64       /* traced processes per tracer */
#define MAX_DEPTH 256      /* Python frames per stack, the bound of --depth */
#define YOUNG_SLOTS 65536  /* direct-mapped places for recent blocks, per process; a power of two */
#define CODE_FILTER_BITS 16

/*
 * A block is known by (process slot, address): 47 bits of user address, the slot above them. Slots are handed out once
 * per incarnation, so a reused pid never meets the books of its predecessor.
 */
typedef __u64 block_key;
#define BLOCK_KEY(slot, addr) (((__u64)(slot) << 48) | ((addr)&0xffffffffffffULL))
#define BLOCK_KEY_ADDR(key) ((key)&0xffffffffffffULL)
#define BLOCK_KEY_SLOT(key) ((__u32)((key) >> 48))

enum block_domain { DOMAIN_OBJ = 0, DOMAIN_RAW = 1 };

/* birth: monotonic clock in units of 2^24 ns (16.8 ms): 32 bits last for two years of uptime */
#define BIRTH_SHIFT 24
#define BLOCK_SIZE_BITS 56

struct block {
	__u64 size_domain; /* size in the low 56 bits, enum block_domain above */
	__u64 type;        /* address of its type object; 0: no object, or not known yet */
	__u32 stack;       /* id; 0: none could be had */
	__u32 site;        /* low 32 bits of the native address that called the allocator */
	__u32 birth;
	__u32 gc_epoch;    /* full collections that had ended when it was allocated */
};

/* A block that has not been pushed out of its place by a younger one. key 0: empty. */
struct young {
	block_key key;
	struct block block;
};

struct agg_key {
	__u64 type;
	__u32 stack;
	__u32 site;
};

struct agg {
	__s64 bytes;
	__s64 objects;
};

struct raw_frame {
	__u64 code;
	__s32 lasti; /* byte offset into the bytecode */
	__u32 code_gen; /* how many code objects had been freed at this address before */
};

enum event_type { EVENT_STACK = 1, EVENT_FINALIZE = 2, EVENT_EXEC = 3, EVENT_CODE = 4 };

/* Ring buffer records. */
struct stack_event {
	__u32 type;
	__u32 slot;
	__u32 stack;
	__u32 depth;
	__u32 truncated; /* there were more frames than --depth */
	__u32 pad;
	struct raw_frame frames[]; /* innermost first; code 0: to be skipped */
};

/*
 * A code object as it was when a stack first met it: code that is run once (a module's body, exec) may be gone by the time that
 * user space looks. Each part begins at its address; what did not fit must still be read from the process.
 */
#define CODE_FILENAME_BYTES 384
#define CODE_NAME_BYTES 256
#define CODE_LINE_TABLE_BYTES 1536
enum code_part { CODE_HEAD, CODE_FILENAME, CODE_NAME, CODE_LINE_TABLE, CODE_PARTS };
struct code_event {
	__u32 type;
	__u32 slot;
	__u32 gen;
	__u32 pad;
	__u64 addr[CODE_PARTS]; /* 0: could not be read */
	__u8 head[CODE_HEAD_BYTES];
	__u8 filename[CODE_FILENAME_BYTES];
	__u8 name[CODE_NAME_BYTES];
	__u8 line_table[CODE_LINE_TABLE_BYTES];
};

struct code_state {
	__u32 gen;  /* how many were freed at this address */
	__u32 sent; /* the gen that user space was told of, plus 1 */
};

struct plain_event {
	__u32 type;
	__u32 slot;
};

/*
 * One list of what can go wrong while counting: enum, JSON key, sentence. Each is counted where it happens and
 * shown to the user.
 */
#define LOSS_LIST(X)                                                                                     \
	X(LOSS_BLOCK_MAP_FULL, "blocks_map_full", "blocks not recorded: the block map is full")          \
	X(LOSS_AGG_MAP_FULL, "groups_map_full", "blocks not grouped: the group map is full")             \
	X(LOSS_STACK_MAP_FULL, "stacks_map_full", "stacks not recorded: the stack map is full")          \
	X(LOSS_RINGBUF, "stacks_ring_full", "stacks not sent in time: the ring buffer was full")         \
	X(LOSS_PENDING, "calls_unmatched", "allocator calls whose return was not matched")               \
	X(LOSS_FRAME_READ, "frames_unreadable", "stacks cut short: a frame could not be read")           \
	X(LOSS_CODE_MAP_FULL, "codes_map_full", "code objects not watched: the code map is full")

enum loss {
#define X(id, key, sentence) id,
	LOSS_LIST(X)
#undef X
	LOSS_CNT
};

/* A call between its entry and its return. */
struct pending {
	__u64 tgid_tid; /* 0: none */
	__u64 size;
	block_key old_key;  /* realloc: the block that was taken out, 0 if none was known */
	struct block old;
};

/* Written by user space before the probes are active, then by the programs; one per slot. */
struct proc_state {
	/* in */
	__u32 tgid;
	__u32 active; /* 0: count nothing (set up, or finalising) */
	__u64 tstate_slot_addr;
	__u64 gil_ptr_addr;      /* 3.12+ started by us: word that holds the gil pointer; used while the above is 0 */
	__u64 gil_holder_off;
	__u64 threads_head_addr;
	__u64 finalizing_addr;   /* word that is not 0 once the interpreter is being torn down; 0: not known */
	/* GIL-protected working state */
	__u64 birth_jiffies;
	__u32 birth;
	__u32 next_stack;
	__u32 codes_freed;
	struct pending malloc, calloc, realloc;
	/* out: under the GIL */
	__s64 obj_bytes, obj_objects;
	__u64 events;          /* probe hits of the object domains */
	__u64 sampled_ns, sampled_events;
	/* out: atomically */
	__s64 raw_bytes, raw_objects;
	__u64 raw_events;
	/* collections */
	__u32 gc_epoch; /* full collections ended */
	__u32 gc_running_gen;
	__u64 gc_start_ns;
	__u64 gc_cnt[3], gc_ns[3]; /* by generation */
	__u64 gc_last_ns; /* of the last full collection */
	__u64 loss[LOSS_CNT];
};

/* A register of the System V calling convention (or rax) at a probe. */
enum arg_reg { ARG_SI, ARG_DX, ARG_DI, ARG_AX, ARG_CX };

/* The functions probed: enum alloc_op of the raw domain, then of the object domains. */
#define PROBED_FUNCTIONS 8

/*
 * A place where the interpreter looks into a free list (user/probe/recycle.h). The cookie says which list, in which register (offset in
 * struct pt_regs) the loaded count or head is, and in which the interpreter state that it was loaded from.
 */
enum recycle_kind { RECYCLE_DICT, RECYCLE_KEYS, RECYCLE_LIST, RECYCLE_TUPLE, RECYCLE_FLOAT, RECYCLE_KINDS };
#define RECYCLE_COOKIE(kind, reg_off, base_off) ((__u64)(kind) | (__u64)(reg_off) << 8 | (__u64)(base_off) << 16)

/* Set before load; constant for the verifier. */
struct tracer_config {
	__u32 only_tgid;  /* the one traced process, slot 0; 0: look the slot up */
	__u32 depth;
	__u32 time_every; /* measure the run time of each such event; a power of two */
	__u32 stop_at_finalize; /* `run`: SIGSTOP when the interpreter starts to tear down, so that the last report sees the heap */
	__u32 free_array_off[RECYCLE_LIST + 1]; /* of the kinds that are arrays, from the interpreter state */
	__u8 arg_regs[PROBED_FUNCTIONS][2]; /* enum arg_reg of the second and third argument */
	/* where gc__start keeps the generation: a register's offset in struct pt_regs, and what to add before a 4-byte read */
	__u32 gc_arg_reg_off;
	__s32 gc_arg_disp;
	__u32 gc_arg_is_memory;
};

#endif
