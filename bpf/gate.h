/* SPDX-License-Identifier: GPL-2.0-only */
/* Budget mode: what a hit costs, and whether it counts. */
#ifndef GATE_H
#define GATE_H

#ifndef BPF_RB_FORCE_WAKEUP
#define BPF_RB_FORCE_WAKEUP 2 /* include/uapi/linux/bpf.h */
#endif

enum hit {
	HIT_ALLOC,  /* the entry of what makes a block that was not there */
	HIT_OTHER,  /* the entry of what ends or changes one */
	HIT_RETURN,
};

static __noinline int tell_gate(__u32 slot)
{
	struct plain_event *ev = bpf_ringbuf_reserve(&gate_events, sizeof(*ev), 0);

	if (!ev)
		return 0; /* user space looks at the phase now and then */
	ev->type = EVENT_GATE;
	ev->slot = slot;
	bpf_ringbuf_submit(ev, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline void charge(struct proc_state *ps, __u32 slot, __u64 ns)
{
	struct gate_state *g = &ps->gate;

	g->cost_ns += ns;
	if (g->phase == GATE_BURST)
		g->burst_cost_ns += ns;
	if (g->cost_ns <= g->limit_ns || g->phase == GATE_SHUT)
		return;
	if (g->phase == GATE_BURST || g->phase == GATE_LOOKOUT) {
		g->recorded_ns = bpf_ktime_get_ns();
		g->recorded_cost_ns = g->cost_ns;
		g->limit_ns = g->cost_ns + g->tail_ns;
		g->phase = g->phase == GATE_BURST ? GATE_TAIL : GATE_LOOKOUT_TAIL;
	} else if (g->phase == GATE_LOOKOUT_TAIL) {
		g->limit_ns = ~0ULL; /* user space ends it: until then it must know what has ended */
	} else {
		g->phase = GATE_SHUT;
	}
	tell_gate(slot);
}

/* Is what is allocated now to be recorded? */
static __always_inline bool gate_records(const struct proc_state *ps)
{
	return !cfg.budget || ps->gate.phase == GATE_BURST;
}

/*
 * A process that mostly waits begins to work some time after the probes were placed: then what it does first would be seen each time, and what it
 * does last never.
 */
static __always_inline void begin_burst(struct gate_state *g, __u32 slot)
{
	g->started = 1;
	tell_gate(slot);
	if (bpf_ktime_get_ns() - g->last_ns < GATE_GAP_NS) { /* it was at work already */
		g->skip = 0;
		g->limit_ns -= g->skip_ns;
	}
}

static __always_inline bool skips(struct gate_state *g)
{
	__u32 left = *(volatile __u32 *)&g->skip;

	if (!left)
		return false;
	g->skip = left - 1; /* not by one less than it is: several threads may come here at once */
	return true;
}

/* The traced process, if this hit counts. It is paid for in any case. */
static __always_inline struct proc_state *gated_proc(__u32 *slot, __u64 *id, enum hit hit)
{
	struct proc_state *ps = current_proc(slot, id);

	if (!cfg.budget || !ps)
		return ps;
	charge(ps, *slot, hit == HIT_RETURN ? ps->gate.return_ns : ps->gate.entry_ns);
	if (!ps->gate.started && ps->gate.phase == GATE_BURST)
		begin_burst(&ps->gate, *slot);
	if (hit == HIT_OTHER && ps->gate.phase == GATE_BURST && ps->gate.skip)
		return NULL; /* nothing is recorded yet, and what was before is looked after from outside */
	if (hit == HIT_ALLOC)
		return ps->gate.phase == GATE_BURST && !skips(&ps->gate) ? ps : NULL;
	return ps->gate.phase == GATE_SHUT ? NULL : ps;
}

/* Begin of an event: now. */
static __always_inline __u64 gate_event(struct gate_state *g)
{
	__u64 now = bpf_ktime_get_ns(), gap = now - g->last_ns;

	g->last_ns = now;
	if (gap >= GATE_GAP_NS) {
		g->pauses += g->phase == GATE_BURST;
		if (g->cost_ns - g->piece_from_ns > g->dearest_ns)
			g->dearest_ns = g->cost_ns - g->piece_from_ns;
		g->piece_from_ns = g->cost_ns;
	} else {
		if (g->phase == GATE_BURST)
			g->burst_busy_ns += gap;
		else
			g->tail_busy_ns += gap;
	}
	return now;
}

#endif
