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

#define MAX_PROCS 1024     /* traced processes at once */
#define MAX_DEPTH 256      /* Python frames per stack, the bound of --depth */
#define YOUNG_SLOTS 65536  /* direct-mapped places for recent blocks of one process; a power of two */
#define YOUNG_SLOTS_MANY 8192 /* the same when many processes are to be traced */
#define YOUNG_SLOTS_BURST 4096 /* and these in bursts only */
#define MAX_LENDING 16     /* forks of one process whose books are not copied yet */
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

/* A stack's id: the process slot above the number within the process. Number 0: none could be had. */
#define STACK_BITS 22
#define STACK_ID(slot, nr) ((__u32)(slot) << STACK_BITS | ((nr) & ((1U << STACK_BITS) - 1)))
#define STACK_NR(id) ((id) & ((1U << STACK_BITS) - 1))
#define STACK_SLOT(id) ((id) >> STACK_BITS)

/* birth: monotonic clock in units of 2^24 ns (16.8 ms): 32 bits last for two years of uptime */
#define BIRTH_SHIFT 24
#define BIRTH_NS (1ULL << BIRTH_SHIFT)
/* size_domain: size, number of forks before its allocation (modulo 2^16), enum block_domain, BLOCK_SOUGHT, BLOCK_MOVED */
#define BLOCK_SIZE_BITS 40
#define BLOCK_FORK_BITS 16
#define BLOCK_SIZE(sd) ((sd) & ((1ULL << BLOCK_SIZE_BITS) - 1))
#define BLOCK_FORKS(sd) ((__u16)((sd) >> BLOCK_SIZE_BITS))
#define BLOCK_DOMAIN(sd) ((sd) >> (BLOCK_SIZE_BITS + BLOCK_FORK_BITS) & 1)
/* It was known first by a realloc: it is older than that. */
#define BLOCK_MOVED (1ULL << 63)
/* It was recorded in a lookout: those of its type, or large ones, and not in the same share of the time as others. */
#define BLOCK_SOUGHT (1ULL << 62)
/* What stays when it moves again. */
#define BLOCK_KNOWN_AS (BLOCK_MOVED | BLOCK_SOUGHT)
#define BLOCK_SIZE_DOMAIN(size, forks, domain)                                                           \
	(BLOCK_SIZE(size) | (__u64)(__u16)(forks) << BLOCK_SIZE_BITS |                                   \
	 (__u64)(domain) << (BLOCK_SIZE_BITS + BLOCK_FORK_BITS))

struct block {
	__u64 size_domain;
	__u64 type;        /* address of its type object; 0: no object, or not known yet */
	__u32 stack;       /* STACK_ID */
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

enum event_type { EVENT_STACK = 1, EVENT_FINALIZE = 2, EVENT_EXEC = 3, EVENT_CODE = 4, EVENT_FORK = 5, EVENT_TABLES = 6, EVENT_GATE = 7 };

/* Ring buffer records. */
struct stack_event {
	__u32 type;
	__u32 slot;
	__u32 stack;
	__u32 depth;
	__u32 truncated; /* there were more frames than --depth, or than could be followed */
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
	__u16 size[CODE_PARTS]; /* bytes copied, what lies behind may not have been mapped; 0: none could be read */
	__u32 pad;
	__u64 addr[CODE_PARTS];
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

/* A traced process forked; its child has a slot and is traced already, its books are still to be copied. */
struct fork_event {
	__u32 type;
	__u32 slot;
	__u32 child_slot;
	__u32 child_tgid;
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
	X(LOSS_CODE_MAP_FULL, "codes_map_full", "code objects not watched: the code map is full")        \
	X(LOSS_OTHER_GIL, "other_gils", "stacks not taken: which of several interpreters was running is not known") \
	X(LOSS_FORK, "forks_missed", "forked children not traced: no room for more processes")           \
	X(LOSS_INHERITED, "inherited_missed", "blocks of a parent that a forked child may have or not")

enum loss {
#define X(id, key, sentence) id,
	LOSS_LIST(X)
#undef X
	LOSS_CNT
};

/* The outermost allocator call of a thread, between its entry and its return. */
struct pending {
	__u64 tgid_tid; /* 0: none */
	__u64 sp;       /* at the probe: where its return address is */
	__u64 size;
	__u64 opening;      /* proc_state.opening at its entry */
	__u64 moves;        /* realloc of a block */
	block_key old_key;  /* realloc: the block that was taken out, 0 if none was known */
	struct block old;
};

/* A fork whose child still waits for a copy of the books. */
struct lending {
	__u32 child_slot; /* 0: none; a forked child never has slot 0 */
	__u32 forks;      /* proc_state.forks after this fork: what is younger is not the child's */
	__u64 users;      /* programs that may be copying a block of this one just now */
};

/* The word of malloc in an allocator table (user/probe/allocators.h), and what may stand there. */
struct table_watch {
	__u64 addr, fn, alias;
};
#define ALLOC_TABLES 3

/*
 * Budget mode (user/probe/gate.h): the probes are in place for a while, for a burst in which all is recorded, then for a tail in which only
 * the end of what was recorded counts. Every hit has its price, and each phase a limit. A lookout is by itself: there is a probe on what makes instances
 * only, and of the types that are sought these are recorded; then comes a tail of its own, in which one that is made where another was tells that this has ended.
 */
enum gate_phase { GATE_SHUT, GATE_TAIL, GATE_BURST, GATE_LOOKOUT, GATE_LOOKOUT_TAIL };
#define SOUGHT_MAX 8
struct sought {
	__u64 type; /* 0: none */
	__u32 bytes, head_bytes; /* of its instances' blocks, and before the PyObject in them */
};
#define EVENT_MOST_NS 200000 /* no program runs for longer: the processor was taken away, which is not our cost */
#define GATE_GAP_NS 100000 /* between two events: longer ones were not spent on running */
struct gate_state {
	/* in, while shut */
	__u32 entry_ns, return_ns; /* price of a hit, beside the time in the programs */
	__u64 opening;             /* how many there were: a call that began in an earlier one will not be seen to return */
	__u64 tail_ns;             /* what the tail may cost */
	__u64 skip_ns;             /* what is in the limit for skip */
	struct sought sought[SOUGHT_MAX];
	__u64 large_min;           /* a lookout is for blocks of the raw domain with so many bytes; 0: for those above */
	/* in, then changed by the programs when the limit is passed */
	__u32 phase;
	__u32 skip;                /* allocations not to be recorded, if the first one comes after a pause: see gate.c */
	__u64 limit_ns;            /* of cost_ns in this phase */
	/* out; what is not under the GIL may lose a little */
	__u64 cost_ns, burst_cost_ns;
	__u64 last_ns;             /* when the last event began */
	__u64 burst_busy_ns, tail_busy_ns; /* time from one event's begin to the next one's, without long gaps */
	__u64 burst_allocs, tail_frees;
	__u64 started;             /* the first hit of this burst has come; user space sets it back */
	__u64 pauses;              /* gaps between events in bursts that were longer than GATE_GAP_NS */
	__u64 recorded_ns, recorded_cost_ns; /* when a lookout's tail began, and cost_ns then; user space may begin it, too */
	__u64 piece_from_ns, dearest_ns; /* cost_ns after the last such gap; the most that a piece of work before it has cost */
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
	__u64 text_start, text_end; /* 2.7: calls of libc from here count */
	__u64 finalizing_addr;   /* word that is not 0 once the interpreter is being torn down; 0: not known */
	struct table_watch tables[ALLOC_TABLES];
	__u32 watch_tables; /* cleared when one was found changed: user space sets it again */
	__u32 mixed;        /* a block may be freed by functions of another kind than the one that made it: shared by the tables, or replaced */
	__u32 other_gils;   /* there may be sub-interpreters with a GIL of their own: objects are made and freed by several threads at once */
	__u32 strays;       /* there may have been: objects of that time are where raw blocks are */
	__u32 interps_made; /* how many of what was allocated may have become interpreters */
	__u32 pad_gils;
	__s64 tls_off;      /* where a thread has its current PyThreadState, from its FS base on; 0: not known (py_interp.tls_off) */
	__u64 interp_bytes_min, interp_bytes_max; /* of what calloc is asked for when an interpreter is made (3.12+; else 0) */
	/* GIL-protected working state */
	__u64 birth_jiffies;
	__u32 birth;
	__u32 next_stack;
	__u32 codes_freed;
	__u32 forks;
	__u32 lending_cnt;      /* entries of lending[] that may be in use; user space sets it back to 0 */
	struct lending lending[MAX_LENDING];
	__u32 inheriting;       /* not all of the parent's books have been copied yet */
	__u32 finalized;        /* the interpreter is being torn down: told here, as the ring buffer may be full then */
	struct pending call;
	/* out: under the GIL */
	__s64 obj_bytes, obj_objects;
	__u64 events;          /* probe hits of the object domains */
	__u64 sampled_ns, sampled_events;
	/* out: atomically */
	__s64 raw_bytes, raw_objects;
	__u64 raw_events;
	__s64 inherited_bytes, inherited_objects;         /* of all domains; what the child frees is taken from the sums above */
	__s64 inherited_obj_bytes, inherited_obj_objects;
	/* collections */
	__u32 gc_epoch; /* full collections ended */
	__u32 gc_running_gen;
	__u64 gc_start_ns;
	__u64 gc_thread; /* that collects, as tgid_tid */
	__u64 gc_cnt[3], gc_ns[3]; /* by generation */
	__u64 gc_last_ns; /* of the last full collection */
	struct gate_state gate;
	__u64 loss[LOSS_CNT];
};

/* A register of the System V calling convention (or rax) at a probe. */
enum arg_reg { ARG_SI, ARG_DX, ARG_DI, ARG_AX, ARG_CX };

/* The functions probed: enum alloc_op of the raw domain, then of the object domains, then of libc (2.7). */
#define PROBED_FUNCTIONS 12
/* Where each place has its arguments, as its cookie: enum arg_reg of the second and of the third. */
#define PLACE_COOKIE(first, second) ((__u64)(first) | (__u64)(second) << 8)

/*
 * A place where the interpreter looks into a free list (user/probe/recycle.h). The cookie says which list, in which register (offset in
 * struct pt_regs) the loaded count or head is, and in which the interpreter state that it was loaded from.
 */
enum recycle_kind { RECYCLE_DICT, RECYCLE_KEYS, RECYCLE_LIST, RECYCLE_TUPLE, RECYCLE_FLOAT, RECYCLE_KINDS };
#define RECYCLE_MAX 512
#define RECYCLE_PLACE_SHIFT 32 /* then which place it is */
#define RECYCLE_COOKIE(kind, reg_off, base_off) ((__u64)(kind) | (__u64)(reg_off) << 8 | (__u64)(base_off) << 16)

/* Set before load; constant for the verifier. */
struct tracer_config {
	__u32 only_tgid;  /* the one traced process, slot 0; 0: look the slot up */
	__u32 young_mask; /* young places of a process, minus 1 */
	__u32 follow_forks;
	__u32 budget; /* budget mode */
	__u32 depth;
	__u32 time_every; /* measure the run time of each such event; a power of two */
	__u32 stop_at_finalize; /* `run`: SIGSTOP when the interpreter starts to tear down, so that the last report sees the heap, and while probes move */
	__u32 free_array_off[RECYCLE_LIST + 1]; /* of the kinds that are arrays, from the interpreter state */
	__u32 place_cookies; /* each place has its PLACE_COOKIE; 0 (old kernels): the registers are those in arg_regs everywhere */
	__u8 arg_regs[PROBED_FUNCTIONS][2]; /* enum arg_reg of the second and third argument */
	/* where gc__start keeps the generation: a register's offset in struct pt_regs, and what to add before a 4-byte read */
	__u32 gc_arg_reg_off;
	__s32 gc_arg_disp;
	__u32 gc_arg_is_memory;
};

#endif
