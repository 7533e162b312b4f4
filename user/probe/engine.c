// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "clock.h"
#include "elf_file.h"
#include "engine.h"
#include "layout.h"
#include "maker.h"
#include "python.h"
#include "recycle.h"

#include "pyleak.skel.h"

#define TIME_EVERY 64
#define SPARE_SLOTS 32 /* for forks that come before user space can react */

struct slot {
	void *owner;
	struct young *young; /* mapped; stays for the slot's next process */
	enum { SLOT_FREE, SLOT_SPARE, SLOT_USED, SLOT_DEAD } state;
};

struct engine {
	struct elf_file *elf;
	struct tracer_opts opts;
	bool multi;
	uint64_t bias; /* of the process in which the places were found */
	struct pyleak_bpf *skel;
	struct ring_buffer *ring;
	struct books books;
	struct allocators alloc;
	struct alloc_probes probes; /* none placed: as they are to be made */
	struct gc_probe gc;
	struct maker maker;
	struct recycle_point recycle[RECYCLE_MAX];
	bool tried_places; /* budget mode: see engine__try_places() */
	uint64_t recycle_met_ns[RECYCLE_MAX]; /* budget mode: when hits were found last (CLOCK_MONOTONIC); 0: never */
	size_t recycle_cnt;
	struct uprobe_target target;
	struct bpf_link *exec_link, *fork_link, *exit_link;
	struct proc_state *states; /* mapped */
	struct slot *slots;
	uint32_t young_slots, spare_cnt, dead_cnt;
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
	struct engine *e = ctx;
	const struct plain_event *ev = data;
	void *owner;

	if (size < sizeof(*ev) || !e->handlers || ev->slot >= e->opts.procs_max)
		return 0;
	owner = e->slots[ev->slot].owner;
	if (!owner) { /* its process was given up */
		if (ev->type == EVENT_FORK && size >= sizeof(struct fork_event))
			engine__give_up(e, data);
		return 0;
	}
	if (ev->type == EVENT_STACK && size >= sizeof(struct stack_event))
		e->handlers->stack(e->handlers->ctx, owner, data);
	else if (ev->type == EVENT_CODE && size >= sizeof(struct code_event))
		e->handlers->code(e->handlers->ctx, owner, data);
	else if (ev->type == EVENT_FORK && size >= sizeof(struct fork_event))
		e->handlers->fork(e->handlers->ctx, owner, data);
	else if (ev->type == EVENT_TABLES)
		e->handlers->tables(e->handlers->ctx, owner);
	else if (ev->type == EVENT_FINALIZE)
		e->handlers->finalize(e->handlers->ctx, owner);
	else if (ev->type == EVENT_EXEC)
		e->handlers->exec(e->handlers->ctx, owner);
	return 0;
}

static void set_attach_types(struct pyleak_bpf *s, bool multi)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, s->obj) {
		bpf_program__set_autoattach(prog, false);
		if (multi && bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE)
			bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE);
	}
}

static int create_young(const struct engine *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "young", sizeof(uint32_t), sizeof(struct young), e->young_slots, &opts);

	return fd < 0 ? -errno : fd;
}

static int create_fresh(const struct engine *e)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fresh", sizeof(uint32_t), sizeof(block_key), e->young_slots, NULL);

	return fd < 0 ? -errno : fd;
}

/* The outer map is made for inner ones that are like this one. */
static int set_inner(struct bpf_map *outer, int fd)
{
	int err;

	if (fd < 0)
		return fd;
	err = bpf_map__set_inner_map_fd(outer, dup(fd));
	close(fd);
	return err;
}

static int set_inner_maps(const struct engine *e)
{
	if (e->opts.procs_max == 1)
		bpf_map__set_max_entries(e->skel->maps.young_single, e->young_slots);
	return set_inner(e->skel->maps.young_blocks, create_young(e)) ?: set_inner(e->skel->maps.fresh_places, create_fresh(e));
}

/* Buckets are allocated at once, and few processes have raw blocks in all of their places. */
static uint32_t fresh_max(const struct engine *e)
{
	return 2 * (e->opts.procs_max > 2 ? 2 * YOUNG_SLOTS : e->opts.procs_max * YOUNG_SLOTS);
}

static int configure(struct engine *e, const struct py_interp *py, pid_t global_pid)
{
	struct pyleak_bpf *s = e->skel;
	struct tracer_config *cfg = (struct tracer_config *)&s->rodata->cfg;
	struct py_freelists lists;
	int err;

	py_interp__freelists(py, &lists);
	cfg->free_array_off[RECYCLE_DICT] = lists.dicts;
	cfg->free_array_off[RECYCLE_KEYS] = lists.keys;
	cfg->free_array_off[RECYCLE_LIST] = lists.lists;
	cfg->only_tgid = e->opts.procs_max == 1 ? global_pid : 0;
	cfg->young_mask = e->young_slots - 1;
	cfg->follow_forks = e->opts.follow;
	cfg->depth = e->opts.depth;
	cfg->budget = e->opts.budget > 0;
	cfg->time_every = TIME_EVERY;
	cfg->stop_at_finalize = e->opts.stop_at_finalize;
	cfg->gc_arg_reg_off = e->gc.reg_off;
	cfg->gc_arg_disp = e->gc.disp;
	cfg->gc_arg_is_memory = e->gc.is_memory;
	cfg->place_cookies = e->multi;
	if (!e->multi)
		alloc_probes__agree(&e->probes, &e->alloc);
	for (int op = 0; op < OP_CNT; op++) {
		memcpy(cfg->arg_regs[op], e->probes.arg_regs[1][op], 2);
		memcpy(cfg->arg_regs[OP_CNT + op], e->probes.arg_regs[0][op], 2);
		memcpy(cfg->arg_regs[2 * OP_CNT + op], e->alloc.libc.places[op].arg_regs, 2);
	}
	py_interp__walk_layout(py, (struct walk_layout *)&s->rodata->layout);
	set_attach_types(s, e->multi);
	err = bpf_map__set_max_entries(s->maps.old_blocks, e->opts.max_blocks);
	if (e->opts.procs_max > 1)
		err = err ?: bpf_map__set_max_entries(s->maps.events, 16 << 20);
	err = err ?: bpf_map__set_max_entries(s->maps.procs, e->opts.procs_max);
	err = err ?: bpf_map__set_max_entries(s->maps.frames_windows, e->opts.procs_max);
	err = err ?: bpf_map__set_max_entries(s->maps.young_blocks, e->opts.procs_max);
	err = err ?: bpf_map__set_max_entries(s->maps.fresh_places, e->opts.procs_max);
	err = err ?: bpf_map__set_max_entries(s->maps.fresh_blocks, fresh_max(e));
	return err ?: set_inner_maps(e);
}

static int map_states(struct engine *e)
{
	void *p = mmap(NULL, page_round(sizeof(*e->states) * e->opts.procs_max), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(e->skel->maps.procs), 0);

	if (p == MAP_FAILED)
		return -errno;
	e->states = p;
	return 0;
}

static size_t young_bytes(const struct engine *e)
{
	return page_round(sizeof(struct young) * e->young_slots);
}

/* A slot's own part of a map of maps; a new one takes the old one's place. */
static int put_inner(const struct bpf_map *outer, uint32_t slot, int fd)
{
	if (fd < 0)
		return fd;
	return bpf_map_update_elem(bpf_map__fd(outer), &slot, &fd, BPF_ANY) ? -errno : 0;
}

static int renew_fresh(const struct engine *e, uint32_t slot)
{
	int fd = create_fresh(e), err = put_inner(e->skel->maps.fresh_places, slot, fd);

	if (fd >= 0)
		close(fd);
	return err;
}

/* The young places of a slot: made for its first process, cleared for the next. */
static int prepare_slot(struct engine *e, uint32_t slot)
{
	struct slot *s = &e->slots[slot];
	int fd, err = renew_fresh(e, slot);
	void *p;

	if (err)
		return err;
	memset(&e->states[slot], 0, sizeof(e->states[slot]));
	if (s->young) {
		memset(s->young, 0, young_bytes(e));
		return 0;
	}
	if (e->opts.procs_max == 1) {
		fd = dup(bpf_map__fd(e->skel->maps.young_single));
		err = fd < 0 ? -errno : 0;
	} else {
		fd = create_young(e);
		err = put_inner(e->skel->maps.young_blocks, slot, fd);
	}
	if (fd < 0)
		return fd;
	p = err ? NULL : mmap(NULL, young_bytes(e), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err = -errno;
	close(fd); /* the outer map and the mapping keep it */
	if (!err)
		s->young = p;
	return err;
}

static int find_free(const struct engine *e, uint32_t from, uint32_t *slot)
{
	for (*slot = from; *slot < e->opts.procs_max; ++*slot)
		if (e->slots[*slot].state == SLOT_FREE)
			return 0;
	return -ENOSPC;
}

/* Slot 0 is never a forked child's: in struct lending it means none. */
static void refill_spare(struct engine *e)
{
	uint32_t slot = 1;

	while (e->opts.follow && e->spare_cnt < SPARE_SLOTS && !find_free(e, slot, &slot)) {
		if (prepare_slot(e, slot) || bpf_map_update_elem(bpf_map__fd(e->skel->maps.free_slots), NULL, &slot, BPF_ANY))
			return;
		e->slots[slot].state = SLOT_SPARE;
		e->spare_cnt++;
	}
}

static int attach_tracepoint(struct bpf_program *prog, struct bpf_link **link)
{
	*link = bpf_program__attach(prog);
	return *link ? 0 : -errno;
}

static int attach_tracepoints(struct engine *e)
{
	int err = attach_tracepoint(e->skel->progs.process_exec, &e->exec_link);

	err = err ?: attach_tracepoint(e->skel->progs.process_exit, &e->exit_link);
	if (e->opts.follow)
		err = err ?: attach_tracepoint(e->skel->progs.process_fork, &e->fork_link);
	return err;
}

static void choose_programs(struct engine *e)
{
	const struct pyleak_bpf *s = e->skel;
	const struct bpf_program *const entry[2][OP_CNT] = {
		{ s->progs.obj_malloc, s->progs.obj_calloc, s->progs.obj_realloc, s->progs.obj_free },
		{ s->progs.raw_malloc, s->progs.raw_calloc, s->progs.raw_realloc, s->progs.raw_free },
	};
	const struct bpf_program *const ret[2][OP_FREE] = {
		{ s->progs.obj_malloc_ret, s->progs.obj_malloc_ret, s->progs.obj_realloc_ret },
		{ s->progs.raw_ret, s->progs.raw_ret, s->progs.raw_ret },
	};
	bool nothing = e->opts.probes != TRACER_FULL;

	e->probes.multi = e->multi;
	e->probes.at_entry = e->opts.probes == TRACER_NOTHING_AT_ENTRY;
	for (int raw = 0; raw < 2; raw++) {
		for (int op = 0; op < OP_CNT; op++)
			e->probes.programs.entry[raw][op] = bpf_program__fd(nothing ? s->progs.nothing : entry[raw][op]);
		for (int op = 0; op < OP_FREE; op++)
			e->probes.programs.ret[raw][op] = bpf_program__fd(nothing ? s->progs.nothing : ret[raw][op]);
	}
	e->probes.programs.large_realloc = bpf_program__fd(nothing ? s->progs.nothing : s->progs.large_realloc);
	e->probes.programs.large_ret = bpf_program__fd(nothing ? s->progs.nothing : s->progs.large_ret);
}

static void find_books(struct engine *e)
{
	const struct pyleak_bpf *s = e->skel;

	e->books = (struct books){
		.fresh_fd = bpf_map__fd(s->maps.fresh_blocks),
		.old_fd = bpf_map__fd(s->maps.old_blocks),
		.groups_fd = bpf_map__fd(s->maps.groups),
		.stacks_fd = bpf_map__fd(s->maps.stacks),
		.stack_ids_fd = bpf_map__fd(s->maps.stack_ids),
		.codes_fd = bpf_map__fd(s->maps.codes),
		.not_inherited_fd = bpf_map__fd(s->maps.not_inherited),
		.inherit_fd = bpf_program__fd(s->progs.inherit_block),
	};
}

static int load(struct engine *e, const struct py_interp *py, pid_t global_pid, char *why, size_t why_size)
{
	int err;

	e->skel = pyleak_bpf__open();
	if (!e->skel)
		return say(why, why_size, -errno, "cannot open the BPF object");
	err = configure(e, py, global_pid);
	err = err ?: pyleak_bpf__load(e->skel);
	if (err)
		return say(why, why_size, err, err == -EPERM || err == -EACCES ?
			   "the kernel does not let us load BPF programs (run as root, or with CAP_BPF and CAP_PERFMON)" :
			   "the kernel refused the BPF programs (pyleak-bpf doctor says what is missing; -vv shows the kernel's reason)");
	choose_programs(e);
	find_books(e);
	err = map_states(e);
	if (err)
		return say(why, why_size, err, "cannot map the BPF maps");
	e->ring = ring_buffer__new(bpf_map__fd(e->skel->maps.events), ring_event, e, NULL);
	if (!e->ring)
		return say(why, why_size, -errno, "cannot open the ring buffer");
	err = attach_tracepoints(e);
	return err ? say(why, why_size, err, "cannot watch processes") : 0;
}

int engine__open(const struct py_interp *py, pid_t global_pid, const struct tracer_opts *opts, bool multi, struct engine **out, char *why, size_t why_size)
{
	struct engine *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->opts = *opts;
	e->multi = multi;
	e->elf = elf_file__ref(py->elf);
	e->bias = py->bias;
	e->young_slots = opts->procs_max <= 8 ? YOUNG_SLOTS : opts->budget ? YOUNG_SLOTS_BURST : YOUNG_SLOTS_MANY;
	e->slots = calloc(opts->procs_max, sizeof(*e->slots));
	err = e->slots ? allocators__find(py, opts->read_only, &e->alloc, why, why_size) : -ENOMEM;
	if (err)
		goto fail;
	gc_probe__find(py, &e->gc);
	if (opts->budget > 0)
		maker__find(py, &e->maker);
	e->recycle_cnt = recycle__find_all(py, e->recycle, RECYCLE_MAX);
	if (!multi)
		e->recycle_cnt = 0; /* they need cookies */
	err = load(e, py, global_pid, why, why_size);
	if (err)
		goto fail;
	*out = e;
	return 0;
fail:
	engine__free(e);
	return err;
}

void engine__free(struct engine *e)
{
	if (!e)
		return;
	bpf_link__destroy(e->exec_link);
	bpf_link__destroy(e->fork_link);
	bpf_link__destroy(e->exit_link);
	ring_buffer__free(e->ring);
	for (uint32_t i = 0; e->slots && i < e->opts.procs_max; i++)
		if (e->slots[i].young)
			munmap(e->slots[i].young, young_bytes(e));
	if (e->states)
		munmap(e->states, page_round(sizeof(*e->states) * e->opts.procs_max));
	pyleak_bpf__destroy(e->skel);
	allocators__close(&e->alloc);
	elf_file__close(e->elf);
	free(e->slots);
	free(e);
}

bool engine__fits(const struct engine *e, const struct py_interp *py)
{
	uint64_t word;

	if (!elf_file__same(e->elf, py->elf))
		return false;
	/* allocators__still() takes what cannot be read for unchanged: any process that has just ended would fit. */
	if (!e->alloc.no_tables && remote__read_u64(&py->mem, e->alloc.table_addr[TABLE_OBJ] + py->bias - e->bias, &word))
		return false;
	return allocators__still(&e->alloc, py, py->bias - e->bias) && (!e->alloc.hooked || code_files__same(&e->alloc.files, py->pid));
}

static int attach_prog(struct engine *e, const struct bpf_program *prog, const uint64_t *offs, const uint64_t *sems, size_t cnt,
		       bool returns, struct uprobe_links *links)
{
	if (!cnt)
		return 0;
	if (e->opts.probes != TRACER_FULL)
		prog = e->skel->progs.nothing;
	e->probe_cnt += cnt;
	return uprobe__attach(&e->target, bpf_program__fd(prog), offs, sems, cnt, returns, links);
}

static int attach_gc(struct engine *e, struct uprobe_links *links)
{
	const struct pyleak_bpf *s = e->skel;
	int err;

	if (e->gc.kind == GC_PROBE_FUNCTION) {
		err = attach_prog(e, s->progs.gc_done, &e->gc.done_off, NULL, 1, true, links);
		return err ?: attach_prog(e, e->gc.first_argument ? s->progs.gc_start_usdt : s->progs.gc_start, &e->gc.start_off, NULL,
					  1, false, links);
	}
	if (e->gc.kind == GC_PROBE_USDT) {
		err = attach_prog(e, s->progs.gc_done, &e->gc.done_off, &e->gc.done_sem_off, 1, false, links);
		return err ?: attach_prog(e, s->progs.gc_start_usdt, &e->gc.start_off, &e->gc.start_sem_off, 1, false, links);
	}
	return 0;
}

#define MET_FOR_NS 60000000000ULL

struct heat {
	uint32_t hits, place;
};

static int by_hits(const void *a, const void *b)
{
	const struct heat *x = a, *y = b;

	return x->hits != y->hits ? (x->hits > y->hits ? 1 : -1) : (x->place > y->place) - (x->place < y->place);
}

static int attach_places(const struct engine *e, const struct uprobe_target *target, const uint16_t *places, size_t cnt, struct uprobe_links *links)
{
	const struct bpf_program *prog = e->opts.probes == TRACER_FULL ? e->skel->progs.recycled : e->skel->progs.nothing;
	uint64_t offs[RECYCLE_MAX], cookies[RECYCLE_MAX];
	int err;

	for (size_t i = 0; i < cnt; i++) {
		const struct recycle_point *point = &e->recycle[places[i]];

		err = elf_file__addr_to_off(e->elf, point->addr, &offs[i]);
		if (err)
			return err;
		cookies[i] = point->cookie | (uint64_t)places[i] << RECYCLE_PLACE_SHIFT;
	}
	return cnt ? uprobe__attach_cookies(target, bpf_program__fd(prog), offs, cookies, cnt, links) : 0;
}

/* Budget mode: all places, those that were met least first; returns how many have not been met lately. */
static size_t order_places(struct engine *e, uint16_t *places)
{
	uint64_t now = clock__now_ns(), met;
	struct heat order[RECYCLE_MAX];
	size_t unmet = 0;

	for (size_t i = 0; i < e->recycle_cnt; i++) {
		uint32_t hits = __atomic_exchange_n(&e->skel->bss->recycle_hits[i], 0, __ATOMIC_RELAXED);

		if (hits)
			__atomic_store_n(&e->recycle_met_ns[i], now, __ATOMIC_RELAXED);
		met = __atomic_load_n(&e->recycle_met_ns[i], __ATOMIC_RELAXED);
		order[i] = (struct heat){ !met || now > met + MET_FOR_NS ? 0 : hits + 1, i };
		unmet += !order[i].hits;
	}
	qsort(order, e->recycle_cnt, sizeof(*order), by_hits);
	for (size_t i = 0; i < e->recycle_cnt; i++)
		places[i] = order[i].place;
	return unmet;
}

static bool is_dead(const void *ctx, uint32_t slot)
{
	const struct engine *e = ctx;

	return slot < e->opts.procs_max && e->slots[slot].state == SLOT_DEAD;
}

/* What ended processes left in the maps; then their slots are free. */
static void sweep(struct engine *e)
{
	if (books__sweep(&e->books, is_dead, e))
		return; /* the slots stay dead until it succeeds */
	for (uint32_t i = 0; i < e->opts.procs_max; i++)
		if (e->slots[i].state == SLOT_DEAD)
			e->slots[i].state = SLOT_FREE;
	e->dead_cnt = 0;
}

static struct bookkeeper bookkeeper_of(const struct engine *e, uint32_t slot)
{
	return (struct bookkeeper){ slot, &e->states[slot], e->slots[slot].young, e->young_slots };
}

int engine__inherit(struct engine *e, uint32_t parent_slot, uint32_t child_slot)
{
	const struct bookkeeper parent = bookkeeper_of(e, parent_slot), child = bookkeeper_of(e, child_slot);

	return books__inherit(&e->books, &parent, &child);
}

int engine__attach(struct engine *e, const char *path, pid_t pid, struct engine_probes *probes, char *why, size_t why_size)
{
	uint16_t places[RECYCLE_MAX];
	int err = 0;

	e->target = (struct uprobe_target){ .path = path, .pid = pid, .multi = e->multi };
	probes->alloc = e->probes;
	probes->alloc.pid = pid;
	if (!e->opts.budget) {
		err = alloc_probes__attach(&probes->alloc, &e->alloc, path);
		e->probe_cnt = probes->alloc.cnt;
	}
	err = err ?: attach_gc(e, &probes->links);
	if (!e->opts.budget) {
		for (size_t i = 0; i < e->recycle_cnt; i++)
			places[i] = i;
		err = err ?: attach_places(e, &e->target, places, e->recycle_cnt, &probes->links);
		e->probe_cnt += e->recycle_cnt;
	}
	return err ? say(why, why_size, err, "cannot place the probes") : 0;
}

/* How many places the link has that begins with the FIRST of those that were not met. */
static size_t in_link(const struct gate_links *links, size_t first)
{
	size_t left = links->unmet_cnt - first;

	return left < UNMET_LINK ? left : UNMET_LINK;
}

static bool any_met(const struct engine *e, const uint16_t *places, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (__atomic_load_n(&e->skel->bss->recycle_hits[places[i]], __ATOMIC_RELAXED))
			return true;
	return false;
}

void gate_links__sort(const struct engine *e, struct gate_links *links)
{
	for (size_t i = links->unmet.cnt; i-- > 0;)
		if (any_met(e, links->order + i * UNMET_LINK, in_link(links, i * UNMET_LINK)))
			uprobe_links__move_one(&links->ends, &links->unmet, i); /* else it goes with the rest */
}

void gate_links__close(struct gate_links *links)
{
	uprobe_links__close(&links->makes);
	uprobe_links__close(&links->ends);
	uprobe_links__close(&links->unmet);
}

size_t gate_links__places(const struct gate_links *links)
{
	return links->makes.places + links->ends.places + links->unmet.places;
}

static struct alloc_probes probes_of(const struct engine *e, pid_t pid)
{
	struct alloc_probes probes = e->probes;

	probes.pid = pid;
	return probes;
}

int engine__prepare_gate(struct engine *e, const struct allocators *a, const char *path, pid_t pid, bool unmet, struct gate_links *links)
{
	const struct uprobe_target target = { .path = path, .pid = pid, .multi = e->multi };
	const struct alloc_probes probes = probes_of(e, pid);
	int err = 0;

	links->unmet_cnt = order_places(e, links->order);
	for (size_t i = 0; unmet && i < links->unmet_cnt && !err; i += UNMET_LINK)
		err = attach_places(e, &target, links->order + i, in_link(links, i), &links->unmet);
	err = err ?: alloc_probes__attach_briefly(&probes, a, path, false, &links->makes, &links->ends);
	if (err)
		gate_links__close(links);
	return err;
}

int engine__try_places(struct engine *e, const char *path, pid_t pid, size_t first, struct uprobe_links *links)
{
	const struct uprobe_target target = { .path = path, .pid = pid, .multi = e->multi };
	uint16_t places[TRIED_AT_ONCE];
	size_t cnt = 0;

	for (; cnt < TRIED_AT_ONCE && first + cnt < e->recycle_cnt && !e->tried_places; cnt++)
		places[cnt] = first + cnt;
	e->tried_places |= !cnt;
	return attach_places(e, &target, places, cnt, links) ?: (int)cnt;
}

int engine__open_gate(const struct engine *e, const struct allocators *a, const char *path, pid_t pid, bool halt, struct gate_links *links)
{
	const struct uprobe_target target = { .path = path, .pid = pid, .multi = e->multi };
	const struct alloc_probes probes = probes_of(e, pid);
	const uint16_t *met = links->order + links->unmet_cnt;
	const size_t met_cnt = e->recycle_cnt - links->unmet_cnt;
	uint16_t places[RECYCLE_MAX];
	int err = 0;

	for (size_t i = 0; i < met_cnt; i++)
		places[i] = met[halt ? met_cnt - 1 - i : i];
	/* Otherwise what is met most comes last: until all are in place, hits cost and tell nothing. */
	if (halt)
		err = alloc_probes__attach_briefly(&probes, a, path, true, &links->makes, &links->ends);
	err = err ?: attach_places(e, &target, places, met_cnt, &links->ends);
	err = err ?: engine__attach_libc(e, pid, &links->makes, &links->ends);
	if (!halt)
		err = err ?: alloc_probes__attach_briefly(&probes, a, path, true, &links->makes, &links->ends);
	if (err)
		gate_links__close(links);
	return err;
}

void engine_probes__close(struct engine_probes *probes)
{
	alloc_probes__detach(&probes->alloc, &probes->links);
	uprobe_links__close(&probes->links);
}

int engine__attach_libc(const struct engine *e, pid_t pid, struct uprobe_links *makes, struct uprobe_links *ends)
{
	const struct pyleak_bpf *s = e->skel;
	const struct bpf_program *const entry[OP_CNT] = { s->progs.libc_malloc, s->progs.libc_calloc, s->progs.libc_realloc,
							  s->progs.libc_free };
	const struct uprobe_target target = { .path = e->alloc.libc.path, .pid = pid, .multi = e->multi };
	bool nothing = e->opts.probes != TRACER_FULL;
	int err = 0;

	if (!*e->alloc.libc.path)
		return 0;
	for (int op = 0; op < OP_CNT && !err; op++) {
		const struct place *place = &e->alloc.libc.places[op];
		struct uprobe_links *links = op == OP_MALLOC || op == OP_CALLOC ? makes : ends;
		uint64_t cookie = PLACE_COOKIE(place->arg_regs[0], place->arg_regs[1]);
		int prog = bpf_program__fd(nothing ? s->progs.nothing : entry[op]);

		if (op != OP_FREE)
			err = uprobe__attach(&target, bpf_program__fd(nothing ? s->progs.nothing : s->progs.raw_ret), &place->addr, NULL,
					     1, true, links);
		if (err)
			break;
		err = e->multi ? uprobe__attach_cookies(&target, prog, &place->addr, &cookie, 1, links) :
				 uprobe__attach(&target, prog, &place->addr, NULL, 1, false, links);
	}
	return err;
}

uint64_t engine__maker(const struct engine *e)
{
	return e->maker.addr;
}

int engine__attach_maker(const struct engine *e, const char *path, pid_t pid, struct uprobe_links *links)
{
	const struct uprobe_target target = { .path = path, .pid = pid, .multi = e->multi };
	const struct bpf_program *prog = e->opts.probes == TRACER_FULL ? e->skel->progs.made : e->skel->progs.nothing;

	return e->maker.addr ? uprobe__attach(&target, bpf_program__fd(prog), &e->maker.off, NULL, 1, true, links) : -ENOENT;
}

/* 2.7: the same of what its text takes from libc. */
static int attach_large_libc(const struct engine *e, pid_t pid, struct uprobe_links *links)
{
	const struct uprobe_target target = { .path = e->alloc.libc.path, .pid = pid, .multi = e->multi };
	const struct place *places = e->alloc.libc.places;
	const uint64_t returns[OP_FREE] = { places[OP_MALLOC].addr, places[OP_CALLOC].addr, places[OP_REALLOC].addr };
	uint64_t cookie = PLACE_COOKIE(places[OP_REALLOC].arg_regs[0], places[OP_REALLOC].arg_regs[1]);
	int err;

	if (!*e->alloc.libc.path || !e->multi)
		return -ENOENT;
	err = uprobe__attach(&target, e->probes.programs.large_ret, returns, NULL, OP_FREE, true, links);
	err = err ?: uprobe__attach_cookies(&target, e->probes.programs.large_realloc, &places[OP_REALLOC].addr, &cookie, 1, links);
	if (err)
		uprobe_links__close(links);
	return err;
}

int engine__attach_large(const struct engine *e, const struct allocators *a, const char *path, pid_t pid, struct uprobe_links *links)
{
	const struct alloc_probes probes = probes_of(e, pid);

	return a->no_tables ? attach_large_libc(e, pid, links) : alloc_probes__attach_large(&probes, a, path, links);
}

int engine__add(struct engine *e, pid_t pid, uint32_t *slot)
{
	uint32_t tgid = pid;
	int err = find_free(e, 0, slot);

	if (err && e->dead_cnt) {
		sweep(e);
		err = find_free(e, 0, slot);
	}
	err = err ?: prepare_slot(e, *slot);
	if (err)
		return err;
	e->states[*slot].tgid = tgid;
	if (bpf_map_update_elem(bpf_map__fd(e->skel->maps.proc_slots), &tgid, slot, BPF_ANY))
		return -errno;
	e->slots[*slot].state = SLOT_USED;
	refill_spare(e);
	return 0;
}

int engine__adopt(struct engine *e, uint32_t child_slot)
{
	if (child_slot >= e->opts.procs_max || e->slots[child_slot].state != SLOT_SPARE)
		return -EINVAL;
	e->slots[child_slot].state = SLOT_USED;
	e->spare_cnt--;
	if (e->dead_cnt > e->opts.procs_max / 4)
		sweep(e);
	refill_spare(e);
	return 0;
}

void engine__remove(struct engine *e, uint32_t slot)
{
	uint32_t tgid = e->states[slot].tgid, now;
	int fd = bpf_map__fd(e->skel->maps.proc_slots);

	e->states[slot].active = 0;
	if (!bpf_map_lookup_elem(fd, &tgid, &now) && now == slot)
		bpf_map_delete_elem(fd, &tgid);
	e->slots[slot].owner = NULL;
	e->slots[slot].state = SLOT_DEAD;
	e->dead_cnt++;
}

void engine__give_up(struct engine *e, const struct fork_event *ev)
{
	if (engine__adopt(e, ev->child_slot))
		return;
	engine__remove(e, ev->child_slot);
	engine__inherit(e, ev->slot, ev->child_slot); /* copies nothing for what is not active, but ends the lending */
}

struct proc_state *engine__state(const struct engine *e, uint32_t slot)
{
	return &e->states[slot];
}

const struct young *engine__young(const struct engine *e, uint32_t slot, size_t *cnt)
{
	*cnt = e->young_slots;
	return e->slots[slot].young;
}

void engine__set_owner(struct engine *e, uint32_t slot, void *owner)
{
	e->slots[slot].owner = owner;
}

int engine__epoll_fd(const struct engine *e)
{
	return ring_buffer__epoll_fd(e->ring);
}

int engine__gate_fd(const struct engine *e)
{
	return bpf_map__fd(e->skel->maps.gate_events);
}

int engine__consume(struct engine *e, const struct tracer_events *handlers)
{
	int err;

	e->handlers = handlers;
	err = ring_buffer__consume(e->ring);
	e->handlers = NULL;
	return err < 0 ? err : 0;
}

const struct books *engine__books(const struct engine *e)
{
	return &e->books;
}

uint64_t engine__bias(const struct engine *e)
{
	return e->bias;
}

const struct allocators *engine__allocators(const struct engine *e)
{
	return &e->alloc;
}

const struct gc_probe *engine__gc_probe(const struct engine *e)
{
	return &e->gc;
}

uint32_t engine__recycle_cnt(const struct engine *e)
{
	return e->recycle_cnt;
}

uint32_t engine__probe_cnt(const struct engine *e)
{
	return e->probe_cnt;
}

int engine__check(bool multi, const struct engine_check *check)
{
	struct pyleak_bpf *s;
	struct bpf_program *prog;
	int err;

	s = pyleak_bpf__open();
	if (!s)
		return -errno;
	/* As for a real target: what the verifier has to do depends on these. */
	((struct tracer_config *)&s->rodata->cfg)->depth = 64;
	py_layout__walk(py_layout__find(3, 12), (struct walk_layout *)&s->rodata->layout);
	bpf_map__set_max_entries(s->maps.old_blocks, 1024);
	set_attach_types(s, multi);
	err = pyleak_bpf__load(s);
	if (err)
		goto out;
	bpf_object__for_each_program(prog, s->obj) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			check->program(check->ctx, bpf_program__name(prog), info.verified_insns, info.jited_prog_len);
	}
out:
	pyleak_bpf__destroy(s);
	return err;
}
