/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes: entry and return of each function in CPython's allocator tables (Objects/obmalloc.c), the collector's
 * start and end. Calls of the object domains run under the GIL, so their state is kept per process without locks; raw
 * calls may not, so theirs is kept per thread. Functions that serve both kinds are probed as raw ones.
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

#include "gate.h"

#define FIRST_EVENTS 2048
#define INTERP_BYTES_MIN 65536 /* no PyInterpreterState of 3.12+ is smaller */

enum {
	RAW_MALLOC, RAW_CALLOC, RAW_REALLOC, RAW_FREE, OBJ_MALLOC, OBJ_CALLOC, OBJ_REALLOC, OBJ_FREE,
	LIBC_MALLOC, LIBC_CALLOC, LIBC_REALLOC, LIBC_FREE
};

/*
 * The Nth argument after the context. The barriers keep the compiler from computing the register's offset, as the verifier
 * wants constant ones.
 */
static __always_inline __u64 arg(struct pt_regs *ctx, int fn, int n)
{
	__u8 reg = cfg.place_cookies ? bpf_get_attach_cookie(ctx) >> 8 * n : cfg.arg_regs[fn][n];
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

/*
 * Has the target replaced its allocator? What user space has put there itself does not count. Asked when a function that stood there is
 * still called, by the new one. The raw table is not looked at: while it starts, the interpreter often changes that for a moment.
 */
static __noinline int look_at_tables(struct proc_state *ps, __u32 slot)
{
	struct plain_event *ev;
	bool changed = false;
	__u32 i;

	for (i = 1; i < ALLOC_TABLES; i++) {
		__u64 fn = read_u64(ps->tables[i].addr);

		changed |= fn && fn != ps->tables[i].fn && fn != ps->tables[i].alias;
	}
	if (!changed)
		return 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev)
		return 0;
	ps->watch_tables = 0;
	ev->type = EVENT_TABLES;
	ev->slot = slot;
	if (cfg.stop_at_finalize)
		bpf_send_signal(19);
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

static __noinline int finalizing(struct proc_state *ps, __u32 slot)
{
	struct plain_event *ev;
	__u64 word;

	if (!ps->finalizing_addr || bpf_probe_read_user(&word, sizeof(word), (void *)ps->finalizing_addr))
		return 0;
	/* 2.7: before the start it is 0, too, but no thread is current then. */
	if (layout.finalized_when_zero ? (__u32)word != 0 || !read_u64(ps->tstate_slot_addr) : !word)
		return 0;
	ps->active = 0;
	if (cfg.stop_at_finalize)
		bpf_send_signal(19); /* SIGSTOP: before user space hears of it and sends SIGCONT */
	ps->finalized = 1;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (ev) {
		ev->type = EVENT_FINALIZE;
		ev->slot = slot;
		bpf_ringbuf_submit(ev, 0);
	}
	return 1;
}

/*
 * Counts the event; the first ones, while an interpreter that starts chooses its allocator, and every cfg.time_every-th are timed.
 * Returns its start time, 0 when not timed. Raw calls that race may lose a count.
 */
static __always_inline __u64 event_begin(struct proc_state *ps, __u64 *events)
{
	__u64 n = (*events)++;

	if (cfg.budget)
		return gate_event(&ps->gate);

	if (n & (cfg.time_every - 1) && n >= FIRST_EVENTS)
		return 0;
	return bpf_ktime_get_ns();
}

/* Is this one of the events at which we look around, too? In budget mode all are timed, but few look. */
static __always_inline bool looks(__u64 events, __u64 start)
{
	return cfg.budget ? !(events & 63) : start != 0;
}

static __always_inline void event_end(struct proc_state *ps, __u32 slot, __u64 start)
{
	if (start) {
		__u64 now = bpf_ktime_get_ns();

		ps->sampled_ns += now - start;
		ps->sampled_events++;
		if (cfg.budget)
			charge(ps, slot, now - start < EVENT_MOST_NS ? now - start : EVENT_MOST_NS);
	}
}

/* The clock costs more than all else that is done per block, and its steps are far wider than a jiffy: so once a jiffy. */
static __always_inline __u32 birth_now(struct proc_state *ps)
{
	__u64 jiffies = bpf_jiffies64();

	if (ps->birth_jiffies != jiffies) {
		ps->birth = bpf_ktime_get_ns() >> BIRTH_SHIFT;
		barrier(); /* who sees the jiffy, perhaps without the GIL, must see its time */
		ps->birth_jiffies = jiffies;
	}
	return ps->birth;
}

/*
 * Is a call at SP part of the call P of the same thread? Then P is the one that counts: it has the size that was asked for and the
 * address that is given back. What is called later lies deeper in the stack, or at the same place (a tail call). Otherwise P's
 * return was missed.
 */
static __always_inline bool inside(const struct proc_state *ps, const struct pending *p, __u64 sp, __u64 id)
{
	return p->tgid_tid == id && sp <= p->sp && p->opening == ps->gate.opening;
}

/* Is this the return of P? It has taken its address from the stack by now. */
static __always_inline bool is_return(const struct proc_state *ps, const struct pending *p, __u64 sp, __u64 id)
{
	return p->tgid_tid == id && sp == p->sp + 8 && p->opening == ps->gate.opening;
}

static __always_inline void begin(const struct proc_state *ps, struct pending *p, __u64 sp, __u64 id, __u64 size)
{
	p->tgid_tid = id;
	p->opening = ps->gate.opening;
	p->sp = sp;
	p->size = size;
	p->moves = 0;
	p->old_key = 0;
}

static __always_inline void fill(struct block *b, struct proc_state *ps, __u32 slot, __u64 size, __u64 domain, __u64 ip)
{
	b->size_domain = BLOCK_SIZE_DOMAIN(size, ps->forks, domain);
	b->type = 0;
	b->stack = current_stack(slot, domain == DOMAIN_OBJ);
	b->site = ip;
	b->birth = birth_now(ps);
	b->gc_epoch = ps->gc_epoch;
}

/* What a block was before realloc had it in hand, it still is. */
static __always_inline void stays(struct block *b, const struct block *old)
{
	b->type = old->type;
	b->birth = old->birth;
	b->gc_epoch = old->gc_epoch;
	b->size_domain |= old->size_domain & BLOCK_KNOWN_AS;
}

static __always_inline void obj_new(struct proc_state *ps, __u32 slot, __u64 addr, __u64 size, __u64 ip)
{
	struct block b;

	if (cfg.budget)
		ps->gate.burst_allocs++;
	fill(&b, ps, slot, size, DOMAIN_OBJ, ip);
	put_young(ps, slot, BLOCK_KEY(slot, addr), &b);
	totals_add(ps, &b, 1);
}

static __always_inline bool inside_raw(const struct proc_state *ps, __u64 sp, __u64 id)
{
	const struct pending *outer = bpf_map_lookup_elem(&raw_calls, &id);

	return outer && inside(ps, outer, sp, id);
}

/* Starts the call at SP as one of its thread's, whatever other threads do meanwhile. */
static __always_inline void thread_begin(struct proc_state *ps, __u32 slot, __u64 id, __u64 sp, __u64 size, __u64 old_addr)
{
	struct pending p = {}, *outer;

	if (inside(ps, &ps->call, sp, id))
		return;
	outer = bpf_map_lookup_elem(&raw_calls, &id);
	if (outer && inside(ps, outer, sp, id))
		return;
	if (outer && outer->opening == ps->gate.opening && gate_records(ps))
		lose(ps, LOSS_PENDING);
	begin(ps, &p, sp, id, size);
	if (old_addr) {
		block_key key = BLOCK_KEY(slot, old_addr);

		p.moves = 1;
		if (take(ps, slot, key, &p.old, true))
			p.old_key = key;
	}
	if (!p.old_key && !gate_records(ps))
		return;
	if (bpf_map_update_elem(&raw_calls, &id, &p, BPF_ANY))
		lose(ps, LOSS_PENDING);
}

static __always_inline void thread_end(struct proc_state *ps, __u32 slot, const struct pending *p, __u64 addr, __u64 ip, __u64 domain)
{
	struct block b;

	if (addr) {
		if (cfg.budget)
			ps->gate.burst_allocs++;
		fill(&b, ps, slot, p->size, domain, ip);
		if (!p->old_key && p->moves)
			b.size_domain |= BLOCK_MOVED;
		if (p->old_key)
			stays(&b, &p->old);
		totals_add(ps, &b, 1);
		put_fresh(ps, slot, BLOCK_KEY(slot, addr), &b);
	} else if (p->old_key) {
		b = p->old;
		totals_add(ps, &b, 1);
		put_fresh(ps, slot, p->old_key, &b);
	}
}

static __always_inline int thread_return(struct proc_state *ps, __u32 slot, __u64 sp, __u64 addr, __u64 ip, __u64 domain)
{
	__u64 id = bpf_get_current_pid_tgid(), start, *events = domain == DOMAIN_RAW ? &ps->raw_events : &ps->events;
	struct pending *p = bpf_map_lookup_elem(&raw_calls, &id); /* of this thread alone until it is deleted */

	if (!p || !is_return(ps, p, sp, id))
		return 0;
	start = event_begin(ps, events);
	if (ps->watch_tables && looks(*events, start))
		look_at_tables(ps, slot);
	if (!looks(*events, start) || !finalizing(ps, slot))
		thread_end(ps, slot, p, addr, ip, domain);
	bpf_map_delete_elem(&raw_calls, &id);
	event_end(ps, slot, start);
	return 0;
}

/*
 * With several GILs, calls of the object domains are as those without any. Global functions: the usual way stays short, and the verifier
 * looks at them once.
 */
__noinline int many_begin(__u32 slot, __u64 sp, __u64 size, __u64 old_addr)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);

	if (ps)
		thread_begin(ps, slot, bpf_get_current_pid_tgid(), sp, size, old_addr);
	return 0;
}

__noinline int many_return(__u32 slot, __u64 sp, __u64 addr, __u64 ip)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);

	if (ps)
		thread_return(ps, slot, sp, addr, ip, DOMAIN_OBJ);
	return 0;
}

/*
 * Interpreters are made by a thread that has the only GIL so far, and begin as a block of a known size (Python/pystate.c,
 * alloc_interpreter()): from here on there may be several. User space takes it back if there are not.
 */
__noinline int notice_interp(__u64 sp, __u64 bytes)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || bytes < ps->interp_bytes_min || bytes >= ps->interp_bytes_max)
		return 0;
	if (inside(ps, &ps->call, sp, id) || inside_raw(ps, sp, id))
		return 0; /* a large object */
	ps->interps_made++;
	ps->strays = 1;
	ps->other_gils = 1;
	return 0;
}

/* Starts the call of the object domains at CTX; NULL: it is part of another one. */
static __always_inline struct pending *obj_begin(struct proc_state *ps, struct pt_regs *ctx, __u64 id, __u64 size)
{
	struct pending *p = &ps->call;

	if (inside(ps, p, ctx->sp, id) || (ps->mixed && inside_raw(ps, ctx->sp, id)))
		return NULL;
	if (p->tgid_tid && p->opening == ps->gate.opening && gate_records(ps)) /* else the probe of its return may be gone */
		lose(ps, LOSS_PENDING);
	begin(ps, p, ctx->sp, id, size);
	return p;
}

SEC("uprobe/obj_malloc")
int obj_malloc(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_ALLOC);
	if (!ps)
		return 0;
	if (ps->other_gils)
		return many_begin(slot, ctx->sp, arg(ctx, OBJ_MALLOC, 0), 0);
	obj_begin(ps, ctx, id, arg(ctx, OBJ_MALLOC, 0));
	return 0;
}

SEC("uprobe/obj_calloc")
int obj_calloc(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_ALLOC);
	if (!ps)
		return 0;
	if (ps->other_gils)
		return many_begin(slot, ctx->sp, arg(ctx, OBJ_CALLOC, 0) * arg(ctx, OBJ_CALLOC, 1), 0);
	obj_begin(ps, ctx, id, arg(ctx, OBJ_CALLOC, 0) * arg(ctx, OBJ_CALLOC, 1));
	return 0;
}

/* The return of both. */
SEC("uprobe/obj_malloc_ret")
int obj_malloc_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_RETURN);
	if (!ps)
		return 0;
	if (!is_return(ps, &ps->call, ctx->sp, id))
		return ps->strays ? many_return(slot, ctx->sp, ctx->ax, ctx->ip) : 0;
	ps->call.tgid_tid = 0;
	if (!ctx->ax)
		return 0;
	start = event_begin(ps, &ps->events);
	if (ps->watch_tables && looks(ps->events, start))
		look_at_tables(ps, slot);
	if (!looks(ps->events, start) || !finalizing(ps, slot))
		obj_new(ps, slot, ctx->ax, ps->call.size, ctx->ip);
	event_end(ps, slot, start);
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
	struct pending *p;
	__u64 id, start;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_OTHER);
	if (!ps)
		return 0;
	if (ps->other_gils)
		return many_begin(slot, ctx->sp, arg(ctx, OBJ_REALLOC, 1), arg(ctx, OBJ_REALLOC, 0));
	p = obj_begin(ps, ctx, id, arg(ctx, OBJ_REALLOC, 1));
	if (!p)
		return 0;
	start = event_begin(ps, &ps->events);
	if (arg(ctx, OBJ_REALLOC, 0)) {
		block_key key = BLOCK_KEY(slot, arg(ctx, OBJ_REALLOC, 0));
		struct block old;

		p->moves = 1;
		if (take(ps, slot, key, &old, false)) {
			p->old_key = key;
			p->old = old;
		}
	}
	if (!p->old_key && !gate_records(ps))
		p->tgid_tid = 0;
	event_end(ps, slot, start);
	return 0;
}

SEC("uprobe/obj_realloc_ret")
int obj_realloc_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id, start;
	struct block b;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_RETURN);
	if (!ps)
		return 0;
	if (!is_return(ps, &ps->call, ctx->sp, id))
		return ps->strays ? many_return(slot, ctx->sp, ctx->ax, ctx->ip) : 0;
	ps->call.tgid_tid = 0;
	start = event_begin(ps, &ps->events);
	if (!ctx->ax) {
		if (ps->call.old_key) {
			b = ps->call.old;
			put_young(ps, slot, ps->call.old_key, &b);
			totals_add(ps, &b, 1);
		}
	} else {
		fill(&b, ps, slot, ps->call.size, DOMAIN_OBJ, ctx->ip);
		if (!ps->call.old_key && ps->call.moves)
			b.size_domain |= BLOCK_MOVED;
		if (ps->call.old_key)
			stays(&b, &ps->call.old);
		put_young(ps, slot, BLOCK_KEY(slot, ctx->ax), &b);
		totals_add(ps, &b, 1);
	}
	event_end(ps, slot, start);
	return 0;
}

static __always_inline void freed(struct proc_state *ps, __u32 slot, __u64 addr, bool raw)
{
	block_key key = BLOCK_KEY(slot, addr);
	struct block b;

	if (cfg.budget && ps->gate.phase == GATE_TAIL)
		ps->gate.tail_frees++;
	forget_code(ps, key);
	take(ps, slot, key, &b, raw);
}

__noinline int many_freed(__u32 slot, __u64 addr)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);

	if (ps)
		freed(ps, slot, addr, true);
	return 0;
}

SEC("uprobe/obj_free")
int obj_free(struct pt_regs *ctx)
{
	__u64 addr = arg(ctx, OBJ_FREE, 0), id, start;
	struct proc_state *ps;
	__u32 slot;

	if (!addr)
		return 0;
	ps = gated_proc(&slot, &id, HIT_OTHER);
	if (!ps)
		return 0;
	start = event_begin(ps, &ps->events);
	if (!looks(ps->events, start) || !finalizing(ps, slot)) {
		if (ps->other_gils)
			many_freed(slot, addr);
		else
			freed(ps, slot, addr, false);
	}
	event_end(ps, slot, start);
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
	bool found;
	struct proc_state *ps;
	struct block b;
	block_key key;
	__u32 slot, kind;

	cookie = bpf_get_attach_cookie(ctx);
	if (cfg.budget && cookie >> RECYCLE_PLACE_SHIFT < RECYCLE_MAX)
		recycle_hits[cookie >> RECYCLE_PLACE_SHIFT]++;
	ps = gated_proc(&slot, &id, HIT_OTHER);
	if (!ps)
		return 0;
	start = event_begin(ps, &ps->events);
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
	found = take(ps, slot, key, &b, ps->other_gils);
	/* 3.14: code may count tuples' lengths from one place before the first, which is where ints are. A block tells which it is. */
	if (!found && kind == RECYCLE_FLOAT) {
		key = BLOCK_KEY(slot, object - layout.gc_head_bytes);
		found = take(ps, slot, key, &b, ps->other_gils);
	}
	if (found && gate_records(ps)) {
		b.type = 0; /* to be looked at again */
		b.stack = current_stack(slot, true);
		b.birth = birth_now(ps);
		b.gc_epoch = ps->gc_epoch;
		if (ps->other_gils)
			put_fresh(ps, slot, key, &b);
		else
			put_young(ps, slot, key, &b);
		totals_add(ps, &b, 1);
	}
out:
	event_end(ps, slot, start);
	return 0;
}

static __always_inline const struct sought *find_sought(const struct gate_state *g, __u64 type)
{
	for (int i = 0; i < SOUGHT_MAX; i++)
		if (type && g->sought[i].type == type)
			return &g->sought[i];
	return NULL;
}

/* Budget mode, the return of PyType_GenericAlloc(), which makes the instances of all classes. What was at the address before has ended unseen. */
SEC("uprobe/made")
int made(struct pt_regs *ctx)
{
	const struct sought *sought;
	struct proc_state *ps;
	__u64 id, start;
	struct block b;
	block_key key;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !cfg.budget)
		return 0;
	charge(ps, slot, (__u64)ps->gate.entry_ns + ps->gate.return_ns);
	if ((ps->gate.phase != GATE_LOOKOUT && ps->gate.phase != GATE_LOOKOUT_TAIL) || !ctx->ax)
		return 0;
	start = event_begin(ps, &ps->events);
	sought = find_sought(&ps->gate, read_u64(ctx->ax + 8));
	if (sought) {
		key = BLOCK_KEY(slot, ctx->ax - sought->head_bytes);
		take(ps, slot, key, &b, ps->other_gils);
	}
	if (sought && ps->gate.phase == GATE_LOOKOUT) {
		fill(&b, ps, slot, sought->bytes, DOMAIN_OBJ, ctx->ip);
		b.size_domain |= BLOCK_SOUGHT;
		if (ps->other_gils)
			put_fresh(ps, slot, key, &b);
		else
			put_young(ps, slot, key, &b);
		totals_add(ps, &b, 1);
	}
	event_end(ps, slot, start);
	return 0;
}

static __always_inline bool looks_out_for_large(const struct proc_state *ps)
{
	return ps->gate.large_min && (ps->gate.phase == GATE_LOOKOUT || ps->gate.phase == GATE_LOOKOUT_TAIL);
}

/* Budget mode, the entry of the raw domain's realloc: what it has in hand is there already. Paid for at its return. */
SEC("uprobe/large_realloc")
int large_realloc(struct pt_regs *ctx)
{
	__u64 addr = arg(ctx, RAW_REALLOC, 0), id;
	struct pending p = {};
	struct proc_state *ps;
	block_key key;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !cfg.budget || !addr || !looks_out_for_large(ps))
		return 0;
	begin(ps, &p, ctx->sp, id, 0);
	p.moves = 1;
	key = BLOCK_KEY(slot, addr);
	if (take(ps, slot, key, &p.old, true))
		p.old_key = key;
	if (bpf_map_update_elem(&raw_calls, &id, &p, BPF_ANY))
		lose(ps, LOSS_PENDING);
	return 0;
}

/* What glibc has given out, by the word in front of it (malloc/malloc.c: struct malloc_chunk): a chunk, or a mapping of its own. */
static __always_inline __u64 libc_bytes(__u64 addr)
{
	__u64 word = read_u64(addr - 8), bytes = word & ~7ULL;

	if (word & 2)
		return ((bytes + 4095) & ~4095ULL) - 16;
	return bytes - 8;
}

static __always_inline void large_new(struct proc_state *ps, __u32 slot, __u64 addr, const struct pending *p)
{
	__u64 bytes = libc_bytes(addr);
	block_key key = BLOCK_KEY(slot, addr);
	struct block b;

	take(ps, slot, key, &b, true); /* what was there has ended unseen */
	if (bytes < ps->gate.large_min || bytes >= 1ULL << BLOCK_SIZE_BITS || (ps->gate.phase != GATE_LOOKOUT && !(p && p->old_key)))
		return;
	fill(&b, ps, slot, bytes, DOMAIN_RAW, 0); /* of the object domains' functions, mostly: tells nothing */
	if (p && p->old_key) {
		stays(&b, &p->old);
	} else {
		b.size_domain |= p ? BLOCK_KNOWN_AS : BLOCK_SOUGHT;
	}
	totals_add(ps, &b, 1);
	put_fresh(ps, slot, key, &b);
}

/* Budget mode, the return of what makes or moves blocks of the raw domain: there is everything that is too large for pymalloc. */
SEC("uprobe/large_ret")
int large_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	struct pending *p;
	__u64 id, start;
	struct block b;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps || !cfg.budget)
		return 0;
	charge(ps, slot, (__u64)ps->gate.entry_ns + ps->gate.return_ns);
	if (!looks_out_for_large(ps) || (ps->text_end && (ctx->ip < ps->text_start || ctx->ip >= ps->text_end)))
		return 0;
	start = event_begin(ps, &ps->raw_events);
	p = bpf_map_lookup_elem(&raw_calls, &id);
	if (p && !is_return(ps, p, ctx->sp, id))
		p = NULL;
	if (ctx->ax) {
		large_new(ps, slot, ctx->ax, p);
	} else if (p && p->old_key) {
		b = p->old;
		totals_add(ps, &b, 1);
		put_fresh(ps, slot, p->old_key, &b);
	}
	if (p)
		bpf_map_delete_elem(&raw_calls, &id);
	event_end(ps, slot, start);
	return 0;
}

static __always_inline void raw_begin(struct pt_regs *ctx, __u64 size, __u64 old_addr, enum hit hit)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = gated_proc(&slot, &id, hit);
	if (ps)
		thread_begin(ps, slot, id, ctx->sp, size, old_addr);
}

SEC("uprobe/raw_malloc")
int raw_malloc(struct pt_regs *ctx)
{
	raw_begin(ctx, arg(ctx, RAW_MALLOC, 0), 0, HIT_ALLOC);
	return 0;
}

SEC("uprobe/raw_calloc")
int raw_calloc(struct pt_regs *ctx)
{
	__u64 bytes = arg(ctx, RAW_CALLOC, 0) * arg(ctx, RAW_CALLOC, 1);

	if (bytes >= INTERP_BYTES_MIN)
		notice_interp(ctx->sp, bytes);
	raw_begin(ctx, bytes, 0, HIT_ALLOC);
	return 0;
}

SEC("uprobe/raw_realloc")
int raw_realloc(struct pt_regs *ctx)
{
	raw_begin(ctx, arg(ctx, RAW_REALLOC, 1), arg(ctx, RAW_REALLOC, 0), HIT_OTHER);
	return 0;
}

SEC("uprobe/raw_ret")
int raw_ret(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = gated_proc(&slot, &id, HIT_RETURN);
	return ps ? thread_return(ps, slot, ctx->sp, ctx->ax, ctx->ip, DOMAIN_RAW) : 0;
}

static __always_inline void raw_end_of_block(__u64 addr)
{
	struct proc_state *ps;
	__u64 id, start;
	__u32 slot;

	if (!addr)
		return;
	ps = gated_proc(&slot, &id, HIT_OTHER);
	if (!ps)
		return;
	start = event_begin(ps, &ps->raw_events);
	if (!looks(ps->raw_events, start) || !finalizing(ps, slot))
		freed(ps, slot, addr, true);
	event_end(ps, slot, start);
}

SEC("uprobe/raw_free")
int raw_free(struct pt_regs *ctx)
{
	raw_end_of_block(arg(ctx, RAW_FREE, 0));
	return 0;
}

/*
 * 2.7: PyMem_MALLOC is libc's malloc. The probes are where the stack pointer still addresses the return address. What was
 * allocated elsewhere is not ours, whoever frees it.
 */
static __always_inline bool called_by_interpreter(struct pt_regs *ctx)
{
	struct proc_state *ps;
	__u64 caller, id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (!ps)
		return false;
	caller = read_u64(ctx->sp);
	if (caller >= ps->text_start && caller < ps->text_end)
		return true;
	__sync_fetch_and_add(&ps->raw_events, 1); /* it costs the target all the same */
	if (cfg.budget)
		charge(ps, slot, ps->gate.entry_ns);
	return false;
}

SEC("uprobe/libc_malloc")
int libc_malloc(struct pt_regs *ctx)
{
	if (called_by_interpreter(ctx))
		raw_begin(ctx, arg(ctx, LIBC_MALLOC, 0), 0, HIT_ALLOC);
	return 0;
}

SEC("uprobe/libc_calloc")
int libc_calloc(struct pt_regs *ctx)
{
	if (called_by_interpreter(ctx))
		raw_begin(ctx, arg(ctx, LIBC_CALLOC, 0) * arg(ctx, LIBC_CALLOC, 1), 0, HIT_ALLOC);
	return 0;
}

SEC("uprobe/libc_realloc")
int libc_realloc(struct pt_regs *ctx)
{
	if (called_by_interpreter(ctx))
		raw_begin(ctx, arg(ctx, LIBC_REALLOC, 1), arg(ctx, LIBC_REALLOC, 0), HIT_OTHER);
	return 0;
}

SEC("uprobe/libc_free")
int libc_free(struct pt_regs *ctx)
{
	raw_end_of_block(arg(ctx, LIBC_FREE, 0));
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
	ps->gc_thread = id;
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
	if (!ps || !ps->gc_start_ns || ps->gc_thread != id) /* with several GILs, another one may have begun meanwhile */
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

static __noinline int start_lending(struct proc_state *ps, __u32 child_slot)
{
	__u32 i;

	for (i = 0; i < MAX_LENDING; i++) {
		if (ps->lending[i].child_slot)
			continue;
		ps->lending[i].forks = ps->forks;
		barrier();
		ps->lending[i].child_slot = child_slot;
		if (ps->lending_cnt < i + 1)
			ps->lending_cnt = i + 1;
		return 0;
	}
	return -1;
}

static __always_inline void copy_state(struct proc_state *child, const struct proc_state *ps)
{
	child->tstate_slot_addr = ps->tstate_slot_addr;
	child->gil_ptr_addr = ps->gil_ptr_addr;
	child->gil_holder_off = ps->gil_holder_off;
	child->threads_head_addr = ps->threads_head_addr;
	child->finalizing_addr = ps->finalizing_addr;
	child->watch_tables = ps->watch_tables;
	child->mixed = ps->mixed;
	child->other_gils = ps->other_gils;
	child->strays = ps->strays;
	child->tls_off = ps->tls_off;
	child->interp_bytes_min = ps->interp_bytes_min;
	child->interp_bytes_max = ps->interp_bytes_max;
	__builtin_memcpy(child->tables, ps->tables, sizeof(child->tables));
	child->text_start = ps->text_start;
	child->text_end = ps->text_end;
	child->next_stack = ps->next_stack; /* the parent's stacks are the child's */
	child->gc_epoch = ps->gc_epoch;
	child->forks = 1;
	child->gate.entry_ns = ps->gate.entry_ns;
	child->gate.return_ns = ps->gate.return_ns;
}

/* In the parent, before the child runs. What shares the parent's memory (vfork) is about to become another program. */
SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0], *task = (void *)ctx->args[1];
	__u32 slot, child_slot, tgid;
	struct proc_state *ps, *child;
	struct fork_event *ev;
	__u64 id;

	if (!cfg.follow_forks)
		return 0;
	ps = current_proc(&slot, &id);
	if (!ps)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	if (tgid == id >> 32 || BPF_CORE_READ(task, mm) == BPF_CORE_READ(parent, mm))
		return 0;
	/* First the event: without it, user space would never take the slot back. */
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	child = ev && !bpf_map_pop_elem(&free_slots, &child_slot) ? bpf_map_lookup_elem(&procs, &child_slot) : NULL;
	if (!child) {
		lose(ps, LOSS_FORK);
		if (ev)
			bpf_ringbuf_discard(ev, 0);
		return 0;
	}
	ps->forks++;
	copy_state(child, ps);
	child->tgid = tgid;
	if (!cfg.budget && start_lending(ps, child_slot))
		lose(child, LOSS_INHERITED);
	else
		child->inheriting = !cfg.budget; /* else: what the parent had sampled says nothing of what the child will gain */
	child->active = 1;
	bpf_map_update_elem(&proc_slots, &tgid, &child_slot, BPF_ANY);
	ev->type = EVENT_FORK;
	ev->slot = slot;
	ev->child_slot = child_slot;
	ev->child_tgid = tgid;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/*
 * Run by user space for one block of the parent: args are the parent's block key, the child's slot and the number of forks of the
 * parent at that fork.
 */
SEC("raw_tp")
int inherit_block(struct bpf_raw_tracepoint_args *ctx)
{
	block_key key = ctx->args[0];
	__u32 slot = BLOCK_KEY_SLOT(key), child_slot = ctx->args[1], forks = ctx->args[2];
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);
	struct block copy;

	if (!ps || !find_block(key, &copy))
		return 0;
	if (before_fork(ps, &copy, forks))
		inherit(child_slot, BLOCK_KEY_ADDR(key), &copy, copy.type);
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

/* A pid may be used again before user space has noticed the end. */
SEC("raw_tp/sched_process_exit")
int process_exit(void *ctx __attribute__((unused)))
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct proc_state *ps;
	__u64 id;
	__u32 slot;

	ps = current_proc(&slot, &id);
	if (ps && !BPF_CORE_READ(task, signal, live.counter))
		ps->active = 0;
	return 0;
}

/* For calibration: what a probe costs that does nothing. */
SEC("uprobe/nothing")
int nothing(struct pt_regs *ctx __attribute__((unused)))
{
	return 0;
}
