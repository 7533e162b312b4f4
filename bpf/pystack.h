/* SPDX-License-Identifier: GPL-2.0-only */
/* From the running thread to the id of its Python stack. */
#ifndef PYSTACK_H
#define PYSTACK_H

#define PAGE_BYTES 4096

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

/*
 * Where there are several GILs: the one that the running thread keeps as its own while it has one of them. Neither the holder of a GIL nor
 * thread_id tells: a thread may have a state in each interpreter, and 3.12 lends one thread's to another (gh-109860).
 */
static __always_inline __u64 attached_tstate(struct proc_state *ps)
{
	return ps->tls_off ? read_u64(fs_base() + ps->tls_off) : 0;
}

static __always_inline __u64 top_frame(__u64 tstate)
{
	__u64 frame = read_u64(tstate + layout.tstate_frame_off);

	if (frame && layout.cframe_current_off != WALK_NONE)
		frame = read_u64(frame + layout.cframe_current_off);
	return frame;
}

static __always_inline void set_frame(struct raw_frame *out, __u64 code, __u64 where)
{
	__s32 lasti = where;

	out->code = code & layout.frame_code_mask;
	if (layout.lasti_kind == LASTI_POINTER)
		lasti = where - out->code - layout.code_instr_off;
	else if (layout.lasti_kind == LASTI_UNITS && lasti > 0)
		lasti *= 2;
	out->lasti = lasti;
	out->code_gen = 0;
}

static __always_inline bool has_owner(void)
{
	return layout.frame_owner_off != WALK_NONE && layout.frame_owner_cstack != WALK_NONE;
}

/* WINDOW holds the fields of the frame at *FRAME: into *OUT, *FRAME to its caller. 1: a Python frame; 0: one to skip. */
static __always_inline int parse_frame(const char *window, __u64 *frame, struct raw_frame *out)
{
	*frame = *(__u64 *)(window + layout.frame_back_off);
	if (has_owner() && *(__u8 *)(window + layout.frame_owner_off) >= layout.frame_owner_cstack)
		return 0;
	set_frame(out, *(__u64 *)(window + layout.frame_code_off),
		  layout.lasti_kind == LASTI_POINTER ? *(__u64 *)(window + layout.frame_lasti_off) : *(__u32 *)(window + layout.frame_lasti_off));
	return 1;
}

static __always_inline int read_frame(char *window, __u64 frame)
{
	__u32 size = layout.frame_window_bytes;

	if (size > FRAME_WINDOW_BYTES)
		size = FRAME_WINDOW_BYTES;
	return bpf_probe_read_user(window, size, (void *)(frame + layout.frame_window_off));
}

/* As parse_frame; -1: unreadable. Field by field, for what is done once a stack: functions that call each other share 512 bytes of stack. */
static __always_inline int next_frame(__u64 *frame, struct raw_frame *out)
{
	__u64 at = *frame + layout.frame_window_off, code, where = 0;
	__u32 where_bytes = layout.lasti_kind == LASTI_POINTER ? sizeof(__u64) : sizeof(__s32);
	__u8 owner;

	if (bpf_probe_read_user(frame, sizeof(*frame), (void *)(at + layout.frame_back_off)))
		return -1;
	if (has_owner()) {
		if (bpf_probe_read_user(&owner, sizeof(owner), (void *)(at + layout.frame_owner_off)))
			return -1;
		if (owner >= layout.frame_owner_cstack)
			return 0;
	}
	if (bpf_probe_read_user(&code, sizeof(code), (void *)(at + layout.frame_code_off)) ||
	    bpf_probe_read_user(&where, where_bytes, (void *)(at + layout.frame_lasti_off)))
		return -1;
	set_frame(out, code, where);
	return 1;
}

/*
 * Since 3.11 a frame lies right above its caller's (_PyThreadState_PushFrame), so one read brings several. Under the GIL, and where
 * frames are like that; else NULL. What it does not hold is read one by one.
 */
static __always_inline struct frames_window *read_frames(__u32 slot, __u64 top, bool gil)
{
	struct frames_window *w;
	__u64 base;

	if (!gil || !top || layout.lasti_kind != LASTI_POINTER)
		return NULL;
	w = bpf_map_lookup_elem(&frames_windows, &slot);
	if (!w)
		return NULL;
	base = top + layout.frame_window_off + layout.frame_window_bytes - sizeof(w->bytes);
	if (base < w->floor && base + PAGE_BYTES > w->floor)
		base = w->floor; /* below it there was nothing last time: the first page of a chunk of frames */
	w->base = base;
	if (!bpf_probe_read_user(w->bytes, sizeof(w->bytes), (void *)base))
		return w;
	w->floor = (top + layout.frame_window_off) & ~(PAGE_BYTES - 1ULL);
	return NULL;
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

/* How much of it: near the end of what is mapped, or of what has ever been touched, less will have to do. */
static __always_inline __u16 copy_part(void *to, __u32 size, __u64 addr)
{
	if (!addr)
		return 0;
	if (!bpf_probe_read_user(to, size, (void *)addr))
		return size;
	if (!bpf_probe_read_user(to, size / 2, (void *)addr))
		return size / 2;
	return bpf_probe_read_user(to, size / 8, (void *)addr) ? 0 : size / 8;
}

#define COPY_PART(ev, part, field, at) \
	((ev)->addr[part] = (at), (ev)->size[part] = copy_part((ev)->field, sizeof((ev)->field), (ev)->addr[part]))

static __always_inline int send_code(__u32 slot, __u64 code, __u32 gen)
{
	struct code_event *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev)
		return -1;
	ev->type = EVENT_CODE;
	ev->slot = slot;
	ev->gen = gen;
	ev->pad = 0;
	COPY_PART(ev, CODE_HEAD, head, code);
	COPY_PART(ev, CODE_FILENAME, filename, read_u64(code + layout.code_filename_off));
	COPY_PART(ev, CODE_NAME, name, read_u64(code + layout.code_name_off));
	COPY_PART(ev, CODE_LINE_TABLE, line_table, read_u64(code + layout.code_line_table_off));
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

/* A unique id; number 0: none left. */
static __always_inline __u32 take_id(struct proc_state *ps, __u32 slot, __u64 hash)
{
	__u32 id;
	int i;

	for (i = 0; i < 16; i++) {
		id = STACK_ID(slot, ++ps->next_stack);
		if (!bpf_map_update_elem(&stack_ids, &id, &hash, BPF_NOEXIST))
			return id;
	}
	return 0;
}

/* ROOM is a constant, as the ring buffer's reservations must be: short stacks shall not take the place of long ones. */
static __always_inline int send_stack(__u32 slot, __u64 frame, __u32 id, __u32 depth, const __u32 room)
{
	struct stack_event *ev = bpf_ringbuf_reserve(&events, sizeof(*ev) + room * sizeof(struct raw_frame), 0);
	struct raw_frame rest = {};
	int kind = 0;
	__u32 i;

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
	if (kind < 0)
		ev->truncated = 1;
	else if (frame) /* not if it is but the interpreter's own entry */
		ev->truncated = i < cfg.depth || next_frame(&frame, &rest) || frame;
	else /* since 3.12 the last one is such an entry: Python/ceval.c, _PyEval_EvalFrameDefault() */
		ev->truncated = kind && has_owner();
	ev->pad = 0;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

/*
 * User space must have the names before the stack that uses them: the ring buffer keeps the order of reservations. How many frames; to the
 * verifier a global function's result is any number, else it would look at what follows once for each.
 */
__noinline __u32 watch_codes(__u32 slot, __u64 frame)
{
	struct raw_frame f;
	__u32 i;
	int kind;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!frame || i >= cfg.depth)
			break;
		kind = next_frame(&frame, &f);
		if (kind < 0)
			break;
		if (kind)
			watch_code(slot, f.code);
	}
	return i;
}

/* A new id for the stack, from now on found by HASH. */
__noinline __u32 claim_stack(__u32 slot, __u64 hash)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);
	__u32 id = ps ? take_id(ps, slot, hash) : 0;

	if (STACK_NR(id) && !bpf_map_update_elem(&stacks, &hash, &id, BPF_NOEXIST))
		return id;
	lose_at(slot, LOSS_STACK_MAP_FULL);
	return STACK_ID(slot, 0);
}

__noinline int send_new_stack(__u32 slot, __u64 frame, __u32 id, __u32 depth)
{
	if (depth <= 16)
		return send_stack(slot, frame, id, depth, 16);
	if (depth <= 32)
		return send_stack(slot, frame, id, depth, 32);
	if (depth <= 64)
		return send_stack(slot, frame, id, depth, 64);
	return send_stack(slot, frame, id, depth, MAX_DEPTH);
}

/* The frame at *FRAME into the hash, *FRAME to its caller. A pointer to the instruction stands for code object and position together. */
static __always_inline void hash_frame(const char *window, __u64 *frame, __u64 *hash)
{
	struct raw_frame f = {};

	if (layout.lasti_kind == LASTI_POINTER) {
		*frame = *(__u64 *)(window + layout.frame_back_off);
		*hash = mix(*hash, *(__u64 *)(window + layout.frame_lasti_off));
	} else if (parse_frame(window, frame, &f)) {
		*hash = mix(*hash, f.code);
		*hash = mix(*hash, (__u32)f.lasti);
	}
}

static __always_inline int hash_next(const struct frames_window *w, __u64 *frame, __u64 *hash)
{
	char window[FRAME_WINDOW_BYTES];
	__u64 off;

	if (w) {
		off = *frame + layout.frame_window_off - w->base;
		if (off <= sizeof(w->bytes) - FRAME_WINDOW_BYTES) {
			barrier_var(off);
			hash_frame(w->bytes + off, frame, hash);
			return 0;
		}
	}
	if (read_frame(window, *frame))
		return -1;
	hash_frame(window, frame, hash);
	return 0;
}

/* Once code objects have been freed, their place alone does not name them. */
__noinline __u64 hash_with_gens(__u32 slot, __u64 frame)
{
	__u64 hash = 0x517cc1b727220a95ULL + slot;
	char window[FRAME_WINDOW_BYTES];
	struct raw_frame f = {};
	__u32 i;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!frame || i >= cfg.depth)
			break;
		if (read_frame(window, frame)) {
			lose_at(slot, LOSS_FRAME_READ);
			break;
		}
		if (!parse_frame(window, &frame, &f))
			continue;
		hash = mix(hash, f.code);
		hash = mix(hash, (__u32)f.lasti | (__u64)code_gen(slot, f.code) << 32);
	}
	return hash;
}

__noinline __u64 hash_frames(__u32 slot, __u64 frame, __u32 gil)
{
	struct frames_window *w = read_frames(slot, frame, gil);
	__u64 hash = 0x517cc1b727220a95ULL ^ slot;
	__u32 i;

	for (i = 0; i < MAX_DEPTH; i++) {
		if (!frame || i >= cfg.depth)
			break;
		if (hash_next(w, &frame, &hash)) {
			lose_at(slot, LOSS_FRAME_READ);
			break;
		}
	}
	return hash;
}

/* The id of the running thread's Python stack; number 0: none could be had, and why was counted. */
__noinline __u32 current_stack(__u32 slot, __u32 gil)
{
	struct proc_state *ps = bpf_map_lookup_elem(&procs, &slot);
	__u64 tstate, top = 0, hash;
	__u32 *known, id;
	bool many;

	if (!ps)
		return STACK_ID(slot, 0);
	many = ps->other_gils;
	tstate = many ? attached_tstate(ps) : current_tstate(ps, gil);
	if (many && !tstate) {
		if (gil)
			lose(ps, LOSS_OTHER_GIL);
		return STACK_ID(slot, 0);
	}
	if (tstate)
		top = top_frame(tstate);
	hash = ps->codes_freed ? hash_with_gens(slot, top) : hash_frames(slot, top, gil && !many);
	known = bpf_map_lookup_elem(&stacks, &hash);
	if (known)
		return *known;
	id = claim_stack(slot, hash);
	if (!STACK_NR(id))
		return id;
	/* One after the other, not one inside the other: the kernel allows calls 512 bytes of stack together. */
	if (send_new_stack(slot, top, id, watch_codes(slot, top))) {
		bpf_map_delete_elem(&stacks, &hash); /* to be sent when it is met again */
		lose_at(slot, LOSS_RINGBUF);
		return STACK_ID(slot, 0);
	}
	return id;
}

#endif
