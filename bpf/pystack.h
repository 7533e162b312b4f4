/* SPDX-License-Identifier: GPL-2.0-only */
/* From the running thread to the id of its Python stack. */
#ifndef PYSTACK_H
#define PYSTACK_H

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h ^= v;
	h *= 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

static __always_inline __u64 read_u64(__u64 addr)
{
	__u64 v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

static __always_inline void lose(struct proc_state *ps, enum loss which)
{
	__sync_fetch_and_add(&ps->loss[which], 1);
}

static __always_inline void lose_at(__u32 slot, enum loss which)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);

	if (ps)
		lose(ps, which);
}

static __always_inline __u64 fs_base(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread.fsbase);
}

/*
 * The thread state of the running thread. Under the GIL it is the holder's. A thread that allocates raw memory may not have
 * the GIL: thread_id is pthread_self(), which glibc and musl make equal to the FS base, and so tells; else it is looked for in
 * the list.
 */
static __always_inline __u64 current_tstate(struct proc_state *ps, bool gil)
{
	__u64 slot_addr = ps->tstate_slot_addr, self, tstate;
	int i;

	if (!slot_addr) {
		if (!ps->gil_ptr_addr)
			return 0;
		slot_addr = read_u64(ps->gil_ptr_addr);
		if (!slot_addr)
			return 0;
		slot_addr += ps->gil_holder_off;
	}
	tstate = read_u64(slot_addr);
	if (gil)
		return tstate;
	self = fs_base();
	if (tstate && read_u64(tstate + layout.tstate_thread_id_off) == self)
		return tstate;
	if (!ps->threads_head_addr)
		return 0;
	tstate = read_u64(ps->threads_head_addr);
	for (i = 0; i < 64 && tstate; i++) {
		if (read_u64(tstate + layout.tstate_thread_id_off) == self)
			return tstate;
		tstate = read_u64(tstate + layout.tstate_next_off);
	}
	return 0;
}

static __always_inline __u64 top_frame(__u64 tstate)
{
	__u64 frame = read_u64(tstate + layout.tstate_frame_off);

	if (frame && layout.cframe_current_off != WALK_NONE)
		frame = read_u64(frame + layout.cframe_current_off);
	return frame;
}

/* The frame at *FRAME into *OUT, *FRAME to its caller. 1: a Python frame; 0: one to skip; -1: unreadable. */
static __always_inline int next_frame(__u64 *frame, struct raw_frame *out)
{
	char window[FRAME_WINDOW_BYTES];
	__s32 lasti;
	__u32 size = layout.frame_window_bytes;

	if (size > sizeof(window))
		size = sizeof(window);
	if (bpf_probe_read_user(window, size, (void *)(*frame + layout.frame_window_off)))
		return -1;
	*frame = *(__u64 *)(window + layout.frame_back_off);
	if (layout.frame_owner_off != WALK_NONE && layout.frame_owner_cstack != WALK_NONE &&
	    *(__u8 *)(window + layout.frame_owner_off) == layout.frame_owner_cstack)
		return 0;
	out->code = *(__u64 *)(window + layout.frame_code_off);
	if (layout.lasti_kind == LASTI_POINTER) {
		lasti = *(__u64 *)(window + layout.frame_lasti_off) - out->code - layout.code_instr_off;
	} else {
		lasti = *(__s32 *)(window + layout.frame_lasti_off);
		if (layout.lasti_kind == LASTI_UNITS && lasti > 0)
			lasti *= 2;
	}
	out->lasti = lasti;
	out->code_gen = 0;
	return 1;
}

static __always_inline __u32 code_filter_idx(block_key key)
{
	return ((key >> 4) * 0x9e3779b97f4a7c15ULL) >> (64 - CODE_FILTER_BITS);
}

static __always_inline bool may_be_code(block_key key)
{
	__u32 idx = code_filter_idx(key);
	__u8 *seen = bpf_map_lookup_elem(&code_filter, &idx);

	return seen && *seen;
}

/* How many code objects were freed where this one is: part of its identity. */
static __always_inline __u32 code_gen(__u32 slot, __u64 code)
{
	block_key key = BLOCK_KEY(slot, code);
	struct code_state *state;

	if (!may_be_code(key))
		return 0;
	state = bpf_map_lookup_elem(&codes, &key);
	return state ? state->gen : 0;
}

static __always_inline __u64 copy_part(void *to, __u32 size, __u64 addr)
{
	/* It may lie at the end of what is mapped: then half of it will have to do. */
	if (!addr || (bpf_probe_read_user(to, size, (void *)addr) && bpf_probe_read_user(to, size / 2, (void *)addr)))
		return 0;
	return addr;
}

static __always_inline int send_code(__u32 slot, __u64 code, __u32 gen)
{
	struct code_event *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev)
		return -1;
	ev->type = EVENT_CODE;
	ev->slot = slot;
	ev->gen = gen;
	ev->pad = 0;
	ev->addr[CODE_HEAD] = copy_part(ev->head, sizeof(ev->head), code);
	ev->addr[CODE_FILENAME] = copy_part(ev->filename, sizeof(ev->filename), read_u64(code + layout.code_filename_off));
	ev->addr[CODE_NAME] = copy_part(ev->name, sizeof(ev->name), read_u64(code + layout.code_name_off));
	ev->addr[CODE_LINE_TABLE] = copy_part(ev->line_table, sizeof(ev->line_table), read_u64(code + layout.code_line_table_off));
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/*
 * Sees to it that user space has the code object, and that its end will be noticed. A global function, as
 * those further down: the verifier looks at it once and not in each turn of its caller's loop.
 */
__noinline int watch_code(__u32 slot, __u64 code)
{
	block_key key = BLOCK_KEY(slot, code);
	struct code_state *state, fresh = {};
	__u32 idx = code_filter_idx(key);
	__u8 *seen;

	state = bpf_map_lookup_elem(&codes, &key);
	if (!state) {
		bpf_map_update_elem(&codes, &key, &fresh, BPF_NOEXIST);
		state = bpf_map_lookup_elem(&codes, &key);
	}
	if (!state) {
		lose_at(slot, LOSS_CODE_MAP_FULL);
		return -1;
	}
	seen = bpf_map_lookup_elem(&code_filter, &idx);
	if (seen)
		*seen = 1;
	if (state->sent != state->gen + 1 && !send_code(slot, code, state->gen))
		state->sent = state->gen + 1;
	return 0;
}

static __always_inline void forget_code(struct proc_state *ps, block_key key)
{
	struct code_state *state;

	if (!may_be_code(key))
		return;
	state = bpf_map_lookup_elem(&codes, &key);
	if (state) {
		__sync_fetch_and_add(&state->gen, 1);
		ps->codes_freed = 1;
	}
}

/* A unique id; 0: none left. */
static __always_inline __u32 take_id(struct proc_state *ps, __u32 slot, __u64 hash)
{
	__u32 id;
	int i;

	for (i = 0; i < 16; i++) {
		id = ++ps->next_stack | slot << 24;
		if (!bpf_map_update_elem(&stack_ids, &id, &hash, BPF_NOEXIST))
			return id;
	}
	return 0;
}

/* ROOM is a constant, as the ring buffer's reservations must be: short stacks shall not take the place of long ones. */
static __always_inline int send_stack(__u32 slot, __u64 frame, __u32 id, __u32 depth, const __u32 room)
{
	struct stack_event *ev = bpf_ringbuf_reserve(&events, sizeof(*ev) + room * sizeof(struct raw_frame), 0);
	__u32 i;
	int kind;

	if (!ev)
		return -1;
	for (i = 0; i < room; i++) {
		struct raw_frame f = {};

		if (!frame || i >= depth || i >= cfg.depth)
			break;
		kind = next_frame(&frame, &f);
		if (kind < 0)
			break;
		if (kind)
			f.code_gen = code_gen(slot, f.code);
		ev->frames[i] = f; /* code 0: to be skipped */
	}
	ev->type = EVENT_STACK;
	ev->slot = slot;
	ev->stack = id;
	ev->depth = i;
	ev->truncated = frame != 0;
	ev->pad = 0;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/* User space must have the names before the stack that uses them: the ring buffer keeps the order of reservations. */
static __always_inline void watch_codes(__u32 slot, __u64 frame, __u32 depth)
{
	struct raw_frame f;
	__u32 i;
	int kind;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!frame || i >= depth || i >= cfg.depth)
			break;
		kind = next_frame(&frame, &f);
		if (kind < 0)
			break;
		if (kind)
			watch_code(slot, f.code);
	}
}

__noinline __u32 new_stack(__u32 slot, __u64 frame, __u64 hash, __u32 depth)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);
	__u32 id = ps ? take_id(ps, slot, hash) : 0;
	int err;

	if (!id || bpf_map_update_elem(&stacks, &hash, &id, BPF_NOEXIST)) {
		lose_at(slot, LOSS_STACK_MAP_FULL);
		return 0;
	}
	watch_codes(slot, frame, depth);
	if (depth <= 16)
		err = send_stack(slot, frame, id, depth, 16);
	else if (depth <= 64)
		err = send_stack(slot, frame, id, depth, 64);
	else
		err = send_stack(slot, frame, id, depth, MAX_DEPTH);
	if (err) {
		bpf_map_delete_elem(&stacks, &hash); /* to be sent when it is met again */
		lose_at(slot, LOSS_RINGBUF);
		return 0;
	}
	return id;
}

/* The id of the running thread's Python stack; 0: none could be had, and why was counted. */
__noinline __u32 current_stack(__u32 slot, __u32 gil)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);
	__u64 tstate, top = 0, frame, hash = 0x517cc1b727220a95ULL ^ slot;
	struct raw_frame f;
	__u32 *id, i;
	int kind;

	if (!ps)
		return 0;
	tstate = current_tstate(ps, gil);
	if (tstate)
		top = top_frame(tstate);
	frame = top;
	for (i = 0; i < MAX_DEPTH; i++) {
		if (!frame || i >= cfg.depth)
			break;
		kind = next_frame(&frame, &f);
		if (kind < 0) {
			lose(ps, LOSS_FRAME_READ);
			break;
		}
		if (!kind)
			continue;
		hash = mix(hash, f.code);
		hash = mix(hash, (__u32)f.lasti);
		if (ps->codes_freed)
			hash = mix(hash, code_gen(slot, f.code));
	}
	id = bpf_map_lookup_elem(&stacks, &hash);
	if (id)
		return *id;
	return new_stack(slot, top, hash, i);
}

#endif
