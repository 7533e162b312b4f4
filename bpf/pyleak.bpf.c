/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes: entry and return of each function in CPython's allocator tables (Objects/obmalloc.c), the collector's
 * start and end. Calls of the object domains run under the GIL, so their state is kept per process without locks; raw
 * calls may not, so theirs is kept per thread.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "walk_layout.h"
#include "shared.h"
#include "maps.h"
#include "pystack.h"
#include "blocks.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline struct proc_state *current_proc(__u32 *slot, __u64 *id)
{
	struct proc_state *ps;
	__u32 tgid, *found;

	*id = bpf_get_current_pid_tgid();
	tgid = *id >> 32;
	*slot = 0;
	if (cfg.only_tgid) {
		if (tgid != cfg.only_tgid)
			return NULL;
	} else {
		found = bpf_map_lookup_elem(&proc_slots, &tgid);
		if (!found)
			return NULL;
		*slot = *found;
	}
	ps = bpf_map_lookup_elem(&procs, slot);
	return ps && ps->active ? ps : NULL;
}

enum { RAW_MALLOC, RAW_CALLOC, RAW_REALLOC, RAW_FREE, OBJ_MALLOC, OBJ_CALLOC, OBJ_REALLOC, OBJ_FREE };

/*
 * The Nth argument after the context. Which register has it is a constant by now: one branch remains. The barriers keep the
 * compiler from computing the register's offset, as the verifier wants constant ones.
 */
static __always_inline __u64 arg(struct pt_regs *ctx, int fn, int n)
{
	__u8 reg = cfg.arg_regs[fn][n];
	__u64 v;

	if (reg == ARG_DX) {
		v = ctx->dx;
		barrier_var(v);
	} else if (reg == ARG_DI) {
		v = ctx->di;
		barrier_var(v);
	} else if (reg == ARG_AX) {
		v = ctx->ax;
		barrier_var(v);
	} else if (reg == ARG_CX) {
		v = ctx->cx;
		barrier_var(v);
	} else {
		v = ctx->si;
		barrier_var(v);
	}
	return v;
}

static __noinline int finalizing(struct proc_state *ps, __u32 slot)
{
	struct plain_event *ev;

	if (!ps->finalizing_addr || !read_u64(ps->finalizing_addr))
		return 0;
	ps->active = 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (ev) {
		ev->type = EVENT_FINALIZE;
		ev->slot = slot;
		if (cfg.stop_at_finalize)
			bpf_send_signal(19); /* SIGSTOP: before user space hears of it and sends SIGCONT */
		bpf_ringbuf_submit(ev, 0);
	}
	return 1;
}

/* Counts the event; every cfg.time_every-th is timed. Returns its start time, 0 when not timed. */
static __always_inline __u64 event_begin(struct proc_state *ps)
{
	if (ps->events++ & (cfg.time_every - 1))
		return 0;
	return bpf_ktime_get_ns();
}

static __always_inline void event_end(struct proc_state *ps, __u64 start)
{
	if (start) {
		ps->sampled_ns += bpf_ktime_get_ns() - start;
		ps->sampled_events++;
	}
}

/* The clock costs more than all else that is done per block, and its steps are far wider than a jiffy: so once a jiffy. */
static __always_inline __u32 birth_now(struct proc_state *ps)
{
	__u64 jiffies = bpf_jiffies64();

	if (ps->birth_jiffies != jiffies) {
		ps->birth_jiffies = jiffies;
		ps->birth = bpf_ktime_get_ns() >> BIRTH_SHIFT;
	}
	return ps->birth;
}

static __always_inline void begin(struct pending *p, __u64 id, __u64 size)
{
	p->tgid_tid = id;
	p->size = size;
}

/* Is this return the one that P waits for? */
static __always_inline bool matches(struct proc_state *ps, struct pending *p, __u64 id)
{
	if (p->tgid_tid != id) {
		if (p->tgid_tid)
			lose(ps, LOSS_PENDING);
		return false;
	}
	p->tgid_tid = 0;
	return true;
}

static __always_inline void fill(struct block *b, struct proc_state *ps, __u32 slot, __u64 size, __u64 domain, __u64 ip)
{
	b->size_domain = (size & ((1ULL << BLOCK_SIZE_BITS) - 1)) | domain << BLOCK_SIZE_BITS;
	b->type = 0;
	b->stack = current_stack(slot, domain == DOMAIN_OBJ);
	b->site = ip;
	b->birth = birth_now(ps);
	b->gc_epoch = ps->gc_epoch;
}

static __always_inline void obj_new(struct proc_state *ps, __u32 slot, __u64 addr, __u64 size, __u64 ip)
{
	struct block b;

	fill(&b, ps, slot, size, DOMAIN_OBJ, ip);
	put_young(ps, slot, BLOCK_KEY(slot, addr), &b);
	totals_add(ps, &b, 1);
}

SEC("uprobe/obj_malloc")
int obj_malloc(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (ps)
		begin(&ps->malloc, id, arg(ctx, OBJ_MALLOC, 0));
	return 0;
}

SEC("uprobe/obj_malloc_ret")
int obj_malloc_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !matches(ps, &ps->malloc, id) || !ctx->ax)
		return 0;
	start = event_begin(ps);
	if (!start || !finalizing(ps, slot))
		obj_new(ps, slot, ctx->ax, ps->malloc.size, ctx->ip);
	event_end(ps, start);
	return 0;
}

SEC("uprobe/obj_calloc")
int obj_calloc(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (ps)
		begin(&ps->calloc, id, arg(ctx, OBJ_CALLOC, 0) * arg(ctx, OBJ_CALLOC, 1));
	return 0;
}

SEC("uprobe/obj_calloc_ret")
int obj_calloc_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !matches(ps, &ps->calloc, id) || !ctx->ax)
		return 0;
	start = event_begin(ps);
	obj_new(ps, slot, ctx->ax, ps->calloc.size, ctx->ip);
	event_end(ps, start);
	return 0;
}

/*
 * A realloc is one transaction: the old block leaves the books before the allocator can hand its address to another
 * thread, and comes back if the call fails. What survives a realloc keeps its age.
 */
SEC("uprobe/obj_realloc")
int obj_realloc(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	start = event_begin(ps);
	begin(&ps->realloc, id, arg(ctx, OBJ_REALLOC, 1));
	ps->realloc.old_key = 0;
	if (arg(ctx, OBJ_REALLOC, 0)) {
		block_key key = BLOCK_KEY(slot, arg(ctx, OBJ_REALLOC, 0));
		struct block old;

		if (take(ps, slot, key, &old, true)) {
			ps->realloc.old_key = key;
			ps->realloc.old = old;
		}
	}
	event_end(ps, start);
	return 0;
}

SEC("uprobe/obj_realloc_ret")
int obj_realloc_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	struct block b, dropped;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !matches(ps, &ps->realloc, id))
		return 0;
	start = event_begin(ps);
	if (!ctx->ax) {
		if (ps->realloc.old_key) {
			b = ps->realloc.old;
			put_young(ps, slot, ps->realloc.old_key, &b);
			totals_add(ps, &b, 1);
		}
	} else {
		block_key key = BLOCK_KEY(slot, ctx->ax);

		take(ps, slot, key, &dropped, true); /* booked already if the allocator called its own malloc */
		fill(&b, ps, slot, ps->realloc.size, DOMAIN_OBJ, ctx->ip);
		if (ps->realloc.old_key) {
			b.type = ps->realloc.old.type;
			b.birth = ps->realloc.old.birth;
			b.gc_epoch = ps->realloc.old.gc_epoch;
		}
		put_young(ps, slot, key, &b);
		totals_add(ps, &b, 1);
	}
	event_end(ps, start);
	return 0;
}

SEC("uprobe/obj_free")
int obj_free(struct pt_regs *ctx)
{
	__u64 addr = arg(ctx, OBJ_FREE, 0);
	struct proc_state *ps;
	__u64 id, start;
	struct block b;
	block_key key;
	__u32 slot;

	if (!addr)
		return 0;
	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	start = event_begin(ps);
	if (!start || !finalizing(ps, slot)) {
		key = BLOCK_KEY(slot, addr);
		forget_code(ps, key);
		take(ps, slot, key, &b, true);
	}
	event_end(ps, start);
	return 0;
}

/*
 * The interpreter is about to take an object from a free list, if that has one: the block stays, the object is new. No allocator
 * call tells of it.
 */
SEC("uprobe/recycled")
int recycled(struct pt_regs *ctx)
{
	__u64 id, start, cookie, value = 0, base = 0, object;
	struct proc_state *ps;
	struct block b;
	block_key key;
	__u32 slot, kind;

	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	start = event_begin(ps);
	cookie = bpf_get_attach_cookie(ctx);
	kind = cookie & 0xff;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + (cookie >> 8 & 0xff));
	object = value;
	if (kind <= RECYCLE_LIST) {
		__s32 cnt = value;

		object = 0;
		bpf_probe_read_kernel(&base, sizeof(base), (void *)ctx + (cookie >> 16 & 0xff));
		base += cfg.free_array_off[kind];
		if (cnt > 0 && cnt <= 256)
			object = read_u64(base + (cnt - 1) * 8);
	}
	if (!object)
		goto out;
	if (kind != RECYCLE_FLOAT && kind != RECYCLE_KEYS)
		object -= layout.gc_head_bytes;
	key = BLOCK_KEY(slot, object);
	if (take(ps, slot, key, &b, true)) {
		b.type = 0; /* to be looked at again */
		b.stack = current_stack(slot, true);
		b.birth = birth_now(ps);
		b.gc_epoch = ps->gc_epoch;
		put_young(ps, slot, key, &b);
		totals_add(ps, &b, 1);
	}
out:
	event_end(ps, start);
	return 0;
}

/* Part of a call of the object domains that this thread is in? Then that call is the one that counts. */
static __always_inline bool nested(struct proc_state *ps, __u64 id)
{
	return ps->malloc.tgid_tid == id || ps->calloc.tgid_tid == id || ps->realloc.tgid_tid == id;
}

static __always_inline void raw_begin(__u64 size, __u64 old_addr)
{
	struct pending p = {};
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || nested(ps, id))
		return;
	__sync_fetch_and_add(&ps->raw_events, 1);
	p.tgid_tid = id;
	p.size = size;
	if (old_addr) {
		block_key key = BLOCK_KEY(slot, old_addr);

		if (take(ps, slot, key, &p.old, false))
			p.old_key = key;
	}
	if (bpf_map_update_elem(&raw_calls, &id, &p, BPF_ANY))
		lose(ps, LOSS_PENDING);
}

static __always_inline void raw_end(struct pt_regs *ctx)
{
	struct pending *found, p;
	struct proc_state *ps;
	struct block b;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || nested(ps, id))
		return;
	found = bpf_map_lookup_elem(&raw_calls, &id);
	if (!found)
		return;
	p = *found;
	bpf_map_delete_elem(&raw_calls, &id);
	if (ctx->ax) {
		fill(&b, ps, slot, p.size, DOMAIN_RAW, ctx->ip);
		if (p.old_key) {
			b.birth = p.old.birth;
			b.gc_epoch = p.old.gc_epoch;
		}
		totals_add(ps, &b, 1);
		put_old(ps, BLOCK_KEY(slot, ctx->ax), &b);
	} else if (p.old_key) {
		totals_add(ps, &p.old, 1);
		put_old(ps, p.old_key, &p.old);
	}
}

SEC("uprobe/raw_malloc")
int raw_malloc(struct pt_regs *ctx)
{
	raw_begin(arg(ctx, RAW_MALLOC, 0), 0);
	return 0;
}

SEC("uprobe/raw_calloc")
int raw_calloc(struct pt_regs *ctx)
{
	raw_begin(arg(ctx, RAW_CALLOC, 0) * arg(ctx, RAW_CALLOC, 1), 0);
	return 0;
}

SEC("uprobe/raw_realloc")
int raw_realloc(struct pt_regs *ctx)
{
	raw_begin(arg(ctx, RAW_REALLOC, 1), arg(ctx, RAW_REALLOC, 0));
	return 0;
}

SEC("uprobe/raw_ret")
int raw_ret(struct pt_regs *ctx)
{
	raw_end(ctx);
	return 0;
}

SEC("uprobe/raw_free")
int raw_free(struct pt_regs *ctx)
{
	__u64 addr = arg(ctx, RAW_FREE, 0);
	struct proc_state *ps;
	struct block b;
	__u64 id;
	__u32 slot;

	if (!addr)
		return 0;
	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	__sync_fetch_and_add(&ps->raw_events, 1);
	take(ps, slot, BLOCK_KEY(slot, addr), &b, false);
	return 0;
}

static __always_inline void gc_begin(__u32 gen)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || finalizing(ps, slot))
		return;
	ps->gc_running_gen = gen;
	ps->gc_start_ns = bpf_ktime_get_ns();
}

SEC("uprobe/gc_start")
int gc_start(struct pt_regs *ctx)
{
	gc_begin(ctx->si);
	return 0;
}

SEC("uprobe/gc_start_usdt")
int gc_start_usdt(struct pt_regs *ctx)
{
	__u64 value = 0;
	__u32 gen = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + cfg.gc_arg_reg_off);
	gen = value;
	if (cfg.gc_arg_is_memory)
		bpf_probe_read_user(&gen, sizeof(gen), (void *)(value + (__s64)cfg.gc_arg_disp));
	gc_begin(gen);
	return 0;
}

SEC("uprobe/gc_done")
int gc_done(struct pt_regs *ctx __attribute__((unused)))
{
	struct proc_state *ps;
	__u64 id, ns;
	__u32 slot, gen;

	ps = current_proc(&slot, &id);
	if (!ps || !ps->gc_start_ns)
		return 0;
	ns = bpf_ktime_get_ns() - ps->gc_start_ns;
	ps->gc_start_ns = 0;
	gen = ps->gc_running_gen;
	if (gen > 2)
		return 0;
	ps->gc_cnt[gen]++;
	ps->gc_ns[gen] += ns;
	if (gen == 2) {
		ps->gc_last_ns = ns;
		ps->gc_epoch++;
	}
	return 0;
}

/* The address space is replaced: what comes after under this pid is another program. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx __attribute__((unused)))
{
	struct plain_event *ev;
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	ps->active = 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev)
		return 0;
	ev->type = EVENT_EXEC;
	ev->slot = slot;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/* For calibration: what a probe costs that does nothing. */
SEC("uprobe/nothing")
int nothing(struct pt_regs *ctx __attribute__((unused)))
{
	return 0;
}
