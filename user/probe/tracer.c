// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "calibrate.h"
#include "elf_file.h"
#include "layout.h"
#include "log.h"
#include "procfs.h"
#include "python.h"
#include "recycle.h"
#include "redirect.h"
#include "tracer.h"
#include "uprobe.h"

#include "pyleak.skel.h"

#define TIME_EVERY 64

struct tracer {
	const struct py_interp *py;
	enum tracer_probes probes;
	struct pyleak *skel;
	struct ring_buffer *ring;
	struct allocators alloc;
	struct gc_probe gc;
	struct recycle_point recycle[RECYCLE_MAX];
	size_t recycle_cnt;
	struct uprobe_target target;
	struct uprobe_links links;
	struct bpf_link *exec_link;
	struct redirect *redirect;
	struct proc_state *state; /* mapped */
	size_t state_bytes;
	struct young *young; /* mapped */
	pthread_t calibration;
	bool calibrating;
	struct tracer_cost cost;
	uint32_t probe_cnt;
	const struct tracer_events *handlers;
};

static size_t page_round(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (size + page - 1) & ~(page - 1);
}

static int say(char *why, size_t size, int err, const char *what)
{
	snprintf(why, size, "%s: %s", what, strerror(-err));
	return err;
}

static int ring_event(void *ctx, void *data, size_t size)
{
	struct tracer *t = ctx;
	const struct plain_event *ev = data;

	if (size < sizeof(*ev) || !t->handlers)
		return 0;
	if (ev->type == EVENT_STACK && size >= sizeof(struct stack_event))
		t->handlers->stack(t->handlers->ctx, data);
	else if (ev->type == EVENT_CODE && size >= sizeof(struct code_event))
		t->handlers->code(t->handlers->ctx, data);
	else if (ev->type == EVENT_FINALIZE)
		t->handlers->finalize(t->handlers->ctx);
	else if (ev->type == EVENT_EXEC)
		t->handlers->exec(t->handlers->ctx);
	return 0;
}

static int quiet_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char line[512];

	if (log__level() < LOG_DEBUG && (level != LIBBPF_WARN || log__level() < LOG_INFO))
		return 0;
	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

static void raise_memlock(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	/* Needed before 5.11 only (commit d5299b67dd59), and not permitted everywhere: a failed load will tell. */
	setrlimit(RLIMIT_MEMLOCK, &all);
}

static void set_attach_types(struct pyleak *s, bool multi)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, s->obj) {
		bpf_program__set_autoattach(prog, false);
		if (multi && prog != s->progs.process_exec)
			bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE);
	}
}

static int configure(struct tracer *t, const struct tracer_opts *opts)
{
	struct pyleak *s = t->skel;
	struct tracer_config *cfg = (struct tracer_config *)&s->rodata->cfg;
	struct py_freelists lists;

	py_interp__freelists(t->py, &lists);
	cfg->free_array_off[RECYCLE_DICT] = lists.dicts;
	cfg->free_array_off[RECYCLE_KEYS] = lists.keys;
	cfg->free_array_off[RECYCLE_LIST] = lists.lists;
	cfg->only_tgid = t->py->pid;
	cfg->depth = opts->depth;
	cfg->time_every = TIME_EVERY;
	cfg->stop_at_finalize = opts->stop_at_finalize;
	cfg->gc_arg_reg_off = t->gc.reg_off;
	cfg->gc_arg_disp = t->gc.disp;
	cfg->gc_arg_is_memory = t->gc.is_memory;
	for (int op = 0; op < OP_CNT; op++) {
		memcpy(cfg->arg_regs[op], t->alloc.slots[TABLE_RAW][op].probe.arg_regs, 2);
		memcpy(cfg->arg_regs[OP_CNT + op], t->alloc.slots[TABLE_OBJ][op].probe.arg_regs, 2);
	}
	py_interp__walk_layout(t->py, (struct walk_layout *)&s->rodata->layout);
	set_attach_types(s, t->target.multi);
	return bpf_map__set_max_entries(s->maps.old_blocks, opts->max_blocks);
}

static int map_memory(struct tracer *t)
{
	size_t state = page_round(sizeof(*t->state)), young = page_round(sizeof(*t->young) * YOUNG_SLOTS);
	void *p;

	p = mmap(NULL, state, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(t->skel->maps.procs), 0);
	if (p == MAP_FAILED)
		return -errno;
	t->state = p;
	p = mmap(NULL, young, PROT_READ, MAP_SHARED, bpf_map__fd(t->skel->maps.young_blocks), 0);
	if (p == MAP_FAILED)
		return -errno;
	t->young = p;
	return 0;
}

static void *calibrate(void *arg)
{
	struct tracer *t = arg;

	calibrate__probes(t->target.multi, &t->cost);
	return NULL;
}

static void end_calibration(struct tracer *t)
{
	if (t->calibrating)
		pthread_join(t->calibration, NULL);
	t->calibrating = false;
}

int tracer__open(const struct py_interp *py, const struct tracer_opts *opts, struct tracer **out, char *why, size_t why_size)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->py = py;
	t->probes = opts->probes;
	libbpf_set_print(quiet_libbpf);
	raise_memlock();
	err = allocators__find(py, opts->read_only, &t->alloc, why, why_size);
	if (err)
		goto fail;
	gc_probe__find(py, &t->gc);
	t->recycle_cnt = recycle__find_all(py, t->recycle, RECYCLE_MAX);
	t->target.path = py->open_path;
	t->target.pid = py->pid;
	t->target.multi = uprobe__have_multi() && calibrate__multi_sees_threads();
	t->calibrating = !pthread_create(&t->calibration, NULL, calibrate, t); /* while the kernel verifies */
	t->skel = pyleak__open();
	if (!t->skel) {
		err = say(why, why_size, -errno, "cannot open the BPF object");
		goto fail;
	}
	err = configure(t, opts);
	err = err ?: pyleak__load(t->skel);
	if (err) {
		say(why, why_size, err, err == -EPERM || err == -EACCES ?
		    "the kernel does not let us load BPF programs (run as root, or with CAP_BPF and CAP_PERFMON)" :
		    "the kernel refused the BPF programs (pyleak-bpf doctor says what is missing; -vv shows the kernel's reason)");
		goto fail;
	}
	err = map_memory(t);
	if (err) {
		say(why, why_size, err, "cannot map the BPF maps");
		goto fail;
	}
	t->ring = ring_buffer__new(bpf_map__fd(t->skel->maps.events), ring_event, t, NULL);
	if (!t->ring) {
		err = say(why, why_size, -errno, "cannot open the ring buffer");
		goto fail;
	}
	*out = t;
	return 0;
fail:
	tracer__free(t);
	return err;
}

/* The tables of the object domains usually hold the same functions: each place is probed once. */
static bool seen_before(const struct allocators *a, int table, int op)
{
	for (int t = 0; t < table; t++)
		if (a->slots[t][op].probe.addr == a->slots[table][op].probe.addr)
			return true;
	return false;
}

static int attach_prog(struct tracer *t, const struct bpf_program *prog, const uint64_t *offs, const uint64_t *sems, size_t cnt,
		       bool returns)
{
	if (!cnt)
		return 0;
	if (t->probes != TRACER_FULL)
		prog = t->skel->progs.nothing;
	t->probe_cnt += cnt;
	return uprobe__attach(&t->target, bpf_program__fd(prog), offs, sems, cnt, returns, &t->links);
}

static int attach_op(struct tracer *t, bool raw, enum alloc_op op)
{
	const struct pyleak *s = t->skel;
	const struct bpf_program *const entry[2][OP_CNT] = {
		{ s->progs.obj_malloc, s->progs.obj_calloc, s->progs.obj_realloc, s->progs.obj_free },
		{ s->progs.raw_malloc, s->progs.raw_calloc, s->progs.raw_realloc, s->progs.raw_free },
	};
	const struct bpf_program *const ret[2][OP_FREE] = {
		{ s->progs.obj_malloc_ret, s->progs.obj_calloc_ret, s->progs.obj_realloc_ret },
		{ s->progs.raw_ret, s->progs.raw_ret, s->progs.raw_ret },
	};
	uint64_t offs[TABLE_CNT], addr;
	size_t cnt = 0;
	int err;

	for (int table = raw ? TABLE_RAW : TABLE_MEM; table <= (raw ? TABLE_RAW : TABLE_OBJ); table++) {
		if (seen_before(&t->alloc, table, op))
			continue;
		addr = t->probes == TRACER_NOTHING_AT_ENTRY ? t->alloc.slots[table][op].fn : t->alloc.slots[table][op].probe.addr;
		err = elf_file__addr_to_off(t->py->elf, addr - t->py->bias, &offs[cnt++]);
		if (err)
			return err;
	}
	/* The return program first: an entry that is seen must not lack its return. */
	err = op == OP_FREE ? 0 : attach_prog(t, ret[raw][op], offs, NULL, cnt, true);
	return err ?: attach_prog(t, entry[raw][op], offs, NULL, cnt, false);
}

static int attach_gc(struct tracer *t)
{
	const struct pyleak *s = t->skel;
	int err;

	if (t->gc.kind == GC_PROBE_FUNCTION) {
		err = attach_prog(t, s->progs.gc_done, &t->gc.done_off, NULL, 1, true);
		return err ?: attach_prog(t, s->progs.gc_start, &t->gc.start_off, NULL, 1, false);
	}
	if (t->gc.kind == GC_PROBE_USDT) {
		err = attach_prog(t, s->progs.gc_done, &t->gc.done_off, &t->gc.done_sem_off, 1, false);
		return err ?: attach_prog(t, s->progs.gc_start_usdt, &t->gc.start_off, &t->gc.start_sem_off, 1, false);
	}
	return 0;
}

static int attach_recycling(struct tracer *t)
{
	const struct bpf_program *prog = t->probes == TRACER_FULL ? t->skel->progs.recycled : t->skel->progs.nothing;
	uint64_t offs[RECYCLE_MAX], cookies[RECYCLE_MAX];
	int err;

	for (size_t i = 0; i < t->recycle_cnt; i++) {
		err = elf_file__addr_to_off(t->py->elf, t->recycle[i].addr, &offs[i]);
		if (err)
			return err;
		cookies[i] = t->recycle[i].cookie;
	}
	if (!t->recycle_cnt || !t->target.multi) {
		t->recycle_cnt = 0;
		return 0;
	}
	t->probe_cnt += t->recycle_cnt;
	return uprobe__attach_cookies(&t->target, bpf_program__fd(prog), offs, cookies, t->recycle_cnt, &t->links);
}

static int redirect_tables(struct tracer *t)
{
	struct redirect_word words[TABLE_CNT * OP_CNT];
	struct proc_status st;
	size_t cnt = 0;
	int err;

	for (int i = 0; i < TABLE_CNT * OP_CNT; i++) {
		const struct alloc_slot *slot = &t->alloc.slots[i / OP_CNT][i % OP_CNT];

		if (slot->redirect)
			words[cnt++] = (struct redirect_word){ slot->addr, slot->fn, slot->alias };
	}
	if (!cnt)
		return 0;
	err = procfs__status(t->py->pid, &st);
	return err ?: redirect__apply(t->py->pid, st.start_ticks, words, cnt, &t->redirect);
}

void tracer__set_runtime(struct tracer *t, const struct py_interp *py)
{
	t->state->threads_head_addr = py->threads_head_addr;
	t->state->finalizing_addr = py->finalizing_addr;
	t->state->tstate_slot_addr = py->tstate_slot_addr;
	t->state->gil_ptr_addr = py->gil_ptr_addr;
	t->state->gil_holder_off = py->gil_holder_off;
}

int tracer__attach(struct tracer *t, char *why, size_t why_size)
{
	int err = 0;

	t->probe_cnt = 0;
	for (int raw = 0; raw < 2 && !err; raw++)
		for (int op = 0; op < OP_CNT && !err; op++)
			err = attach_op(t, raw, op);
	err = err ?: attach_gc(t);
	err = err ?: attach_recycling(t);
	if (!err) {
		t->exec_link = bpf_program__attach(t->skel->progs.process_exec);
		err = t->exec_link ? 0 : -errno;
	}
	if (err) {
		say(why, why_size, err, "cannot place the probes");
		goto fail;
	}
	t->state->tgid = t->py->pid;
	tracer__set_runtime(t, t->py);
	t->state->active = 1;
	end_calibration(t);
	err = redirect_tables(t);
	if (err) {
		say(why, why_size, err, "cannot redirect the allocator tables (--read-only does without, but then sees little here)");
		goto fail;
	}
	return 0;
fail:
	tracer__detach(t);
	return err;
}

void tracer__detach(struct tracer *t)
{
	redirect__undo(t->redirect);
	t->redirect = NULL;
	if (t->state)
		t->state->active = 0;
	uprobe_links__close(&t->links);
	bpf_link__destroy(t->exec_link);
	t->exec_link = NULL;
}

void tracer__free(struct tracer *t)
{
	if (!t)
		return;
	end_calibration(t);
	tracer__detach(t);
	ring_buffer__free(t->ring);
	if (t->state)
		munmap(t->state, page_round(sizeof(*t->state)));
	if (t->young)
		munmap(t->young, page_round(sizeof(*t->young) * YOUNG_SLOTS));
	pyleak__destroy(t->skel);
	free(t);
}

int tracer__epoll_fd(const struct tracer *t)
{
	return ring_buffer__epoll_fd(t->ring);
}

int tracer__consume(struct tracer *t, const struct tracer_events *handlers)
{
	int err;

	redirect__hold(t->redirect);
	t->handlers = handlers;
	err = ring_buffer__consume(t->ring);
	t->handlers = NULL;
	return err < 0 ? err : 0;
}

const struct proc_state *tracer__state(const struct tracer *t)
{
	return t->state;
}

void tracer__set_gc_epoch(struct tracer *t, uint32_t full_collections)
{
	t->state->gc_epoch = full_collections;
}

const struct allocators *tracer__allocators(const struct tracer *t)
{
	return &t->alloc;
}

const struct gc_probe *tracer__gc_probe(const struct tracer *t)
{
	return &t->gc;
}

int tracer__code_gen(const struct tracer *t, uint64_t code, uint32_t *gen)
{
	block_key key = BLOCK_KEY(0, code);
	struct code_state state;

	if (bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.codes), &key, &state))
		return -ENOENT;
	*gen = state.gen;
	return 0;
}

const struct young *tracer__young(const struct tracer *t, size_t *cnt)
{
	*cnt = YOUNG_SLOTS;
	return t->young;
}

int tracer__old_fd(const struct tracer *t)
{
	return bpf_map__fd(t->skel->maps.old_blocks);
}

int tracer__groups_fd(const struct tracer *t)
{
	return bpf_map__fd(t->skel->maps.groups);
}

uint32_t tracer__recycle_cnt(const struct tracer *t)
{
	return t->recycle_cnt;
}

uint32_t tracer__probe_cnt(const struct tracer *t)
{
	return t->probe_cnt;
}

const struct tracer_cost *tracer__cost(const struct tracer *t)
{
	return &t->cost;
}

int tracer__check(struct tracer_check *check)
{
	struct pyleak *s;
	struct bpf_program *prog;
	int err;

	libbpf_set_print(quiet_libbpf);
	raise_memlock();
	check->multi = uprobe__have_multi() && calibrate__multi_sees_threads();
	s = pyleak__open();
	if (!s)
		return -errno;
	/* As for a real target: what the verifier has to do depends on these. */
	((struct tracer_config *)&s->rodata->cfg)->depth = 64;
	py_layout__walk(py_layout__find(3, 12), (struct walk_layout *)&s->rodata->layout);
	bpf_map__set_max_entries(s->maps.old_blocks, 1024);
	set_attach_types(s, check->multi);
	err = pyleak__load(s);
	if (err)
		goto out;
	bpf_object__for_each_program(prog, s->obj) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			check->program(check->ctx, bpf_program__name(prog), info.verified_insns, info.jited_prog_len);
	}
	calibrate__probes(check->multi, &check->cost);
out:
	pyleak__destroy(s);
	return err;
}
