// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "global_pid.h"
#include "keeper.h"
#include "log.h"
#include "procfs.h"
#include "python.h"
#include "reach.h"
#include "redirect.h"
#include "tracer.h"

#define INTERP_MAKING_NS 1000000000ULL /* from its allocation on, an interpreter has a GIL by then */

/* An engine that is being made by a thread. */
struct preparation {
	pthread_t thread;
	bool running, done;
	struct tracers *all;
	struct py_interp py;
	pid_t global_pid;
	struct engine *engine;
	struct engine_probes probes;
	int err;
	char why[512];
};

struct tracers {
	struct preparation prep;
	struct tracer_opts opts;
	bool multi, looked;
	struct engine **engines;
	struct engine_probes **probes; /* of each engine, when they are active in all processes */
	size_t cnt;
	int epoll_fd;
	struct guardian *guardian;
	struct gates *gates; /* budget mode */
	pthread_t calibration;
	bool calibrating;
	struct tracer_cost cost;
};

struct tracer {
	struct tracers *all;
	struct engine *engine;
	uint32_t slot;
	const struct py_interp *py;
	pid_t global_pid; /* as the programs see it */
	struct engine_probes probes; /* of this process alone */
	struct allocators *own; /* where they are not its engine's */
	struct redirect *redirect;
	struct gate *gate; /* budget mode */
	uint32_t interps_made; /* proc_state.interps_made, when it was last seen to change */
	uint64_t interps_made_ns;
	char gap[256];
};

static void *calibrate(void *arg)
{
	struct tracers *all = arg;

	calibrate__probes(all->multi, all->opts.budget > 0, &all->cost);
	return NULL;
}

struct tracers *tracers__new(const struct tracer_opts *opts)
{
	struct tracers *all = calloc(1, sizeof(*all));
	int err;

	if (!all)
		return NULL;
	all->opts = *opts;
	err = keeper__start();
	if (err)
		log_warn("no process can be started that takes the probes away if this one is killed: %s", strerror(-err));
	all->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	all->guardian = guardian__new();
	all->gates = opts->budget ? gates__new() : NULL;
	if (all->epoll_fd < 0 || !all->guardian || (opts->budget && !all->gates)) {
		tracers__free(all);
		return NULL;
	}
	return all;
}

const struct tracer_cost *tracers__cost(struct tracers *all)
{
	if (all->calibrating)
		pthread_join(all->calibration, NULL);
	all->calibrating = false;
	return &all->cost;
}

void tracers__restore(struct tracers *all)
{
	guardian__restore(all->guardian);
}

void tracers__detach(struct tracers *all)
{
	for (size_t i = 0; i < all->cnt; i++)
		engine_probes__close(all->probes[i]);
}

static bool end_preparation(struct tracers *all, bool wait);

void tracers__free(struct tracers *all)
{
	if (!all)
		return;
	end_preparation(all, true);
	tracers__cost(all);
	tracers__detach(all);
	gates__free(all->gates);
	for (size_t i = 0; i < all->cnt; i++) {
		engine__free(all->engines[i]);
		free(all->probes[i]);
	}
	free(all->engines);
	free(all->probes);
	guardian__free(all->guardian);
	keeper__stop();
	close(all->epoll_fd);
	free(all);
}

int tracers__epoll_fd(const struct tracers *all)
{
	return all->epoll_fd;
}

int tracers__consume(struct tracers *all, const struct tracer_events *handlers)
{
	int err = 0;

	for (size_t i = 0; i < all->cnt && !err; i++)
		err = engine__consume(all->engines[i], handlers);
	return err;
}

size_t tracers__engines(const struct tracers *all, struct engine *const **out)
{
	*out = all->engines;
	return all->cnt;
}

static int add_engine(struct tracers *all, struct engine *e, struct engine_probes *own)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct engine **engines = realloc(all->engines, (all->cnt + 1) * sizeof(*engines));
	struct engine_probes **probes;

	if (!engines)
		return -ENOMEM;
	all->engines = engines;
	probes = realloc(all->probes, (all->cnt + 1) * sizeof(*probes));
	if (!probes)
		return -ENOMEM;
	all->probes = probes;
	if (epoll_ctl(all->epoll_fd, EPOLL_CTL_ADD, engine__epoll_fd(e), &ev))
		return -errno;
	probes[all->cnt] = own;
	engines[all->cnt++] = e;
	return 0;
}

static struct engine *fitting_engine(const struct tracers *all, const struct py_interp *py)
{
	for (size_t i = 0; i < all->cnt; i++)
		if (engine__fits(all->engines[i], py))
			return all->engines[i];
	return NULL;
}

static void look_at_kernel(struct tracers *all)
{
	if (all->looked)
		return;
	all->looked = true;
	all->multi = uprobe__have_multi() && calibrate__multi_sees_threads();
	all->calibrating = !pthread_create(&all->calibration, NULL, calibrate, all); /* while the kernel verifies */
}

static int make_engine(const struct tracers *all, const struct py_interp *py, pid_t global_pid, struct engine **out,
		       struct engine_probes *probes, char *why, size_t why_size)
{
	int err = engine__open(py, global_pid, &all->opts, all->multi, out, why, why_size);

	if (err || !all->opts.follow || all->opts.budget)
		return err;
	err = engine__attach(*out, py->open_path, 0, probes, why, why_size);
	if (err) {
		engine_probes__close(probes);
		engine__free(*out);
	}
	return err;
}

static int keep_engine(struct tracers *all, struct engine *e, struct engine_probes *probes)
{
	struct engine_probes *own = malloc(sizeof(*own));
	int err = own ? add_engine(all, e, own) : -ENOMEM;

	if (err) {
		free(own);
		engine_probes__close(probes);
		engine__free(e);
		return err;
	}
	*own = *probes;
	return 0;
}

static int find_engine(struct tracers *all, const struct py_interp *py, pid_t global_pid, struct engine **out, char *why, size_t why_size)
{
	struct engine_probes probes = {};
	int err;

	*out = fitting_engine(all, py);
	if (*out)
		return 0;
	look_at_kernel(all);
	err = make_engine(all, py, global_pid, out, &probes, why, why_size);
	return err ?: keep_engine(all, *out, &probes);
}

static void *prepare(void *arg)
{
	struct preparation *p = arg;

	p->err = reach__find_path(&p->py, p->why, sizeof(p->why));
	p->err = p->err ?: make_engine(p->all, &p->py, p->global_pid, &p->engine, &p->probes, p->why, sizeof(p->why));
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* true: nothing runs any more. WAIT: however long that takes. */
static bool end_preparation(struct tracers *all, bool wait)
{
	struct preparation *p = &all->prep;

	if (!p->running)
		return true;
	if (!wait && !__atomic_load_n(&p->done, __ATOMIC_ACQUIRE))
		return false;
	pthread_join(p->thread, NULL);
	p->running = false;
	if (!p->err)
		keep_engine(all, p->engine, &p->probes);
	py_interp__close(&p->py);
	return true;
}

bool tracers__prepare(struct tracers *all, pid_t pid)
{
	struct preparation *p = &all->prep;
	pid_t failed = p->running ? p->py.pid : 0;

	if (!end_preparation(all, false))
		return false;
	if (failed == pid && p->err)
		return true; /* tracer__open will fail likewise, and say why */
	memset(p, 0, sizeof(*p));
	p->all = all;
	if (py_interp__open(&p->py, pid, p->why, sizeof(p->why)))
		return true;
	if (fitting_engine(all, &p->py) || global_pid__of(pid, &p->global_pid))
		goto quick;
	look_at_kernel(all);
	tracers__cost(all); /* its thread uses what we are about to */
	p->running = !pthread_create(&p->thread, NULL, prepare, p);
	if (p->running)
		return false;
quick:
	py_interp__close(&p->py);
	return true;
}

static struct tracer *new_tracer(struct tracers *all, struct engine *e, const struct py_interp *py)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->all = all;
	t->engine = e;
	t->py = py;
	return t;
}

int tracer__open(struct tracers *all, const struct py_interp *py, struct tracer **out, char *why, size_t why_size)
{
	struct engine *e;
	struct tracer *t;
	pid_t global_pid;
	uint32_t slot;
	int err;

	err = global_pid__of(py->pid, &global_pid);
	if (err) {
		snprintf(why, why_size, "%s", err != -EOPNOTSUPP ? "cannot learn its pid outside of this pid namespace" :
			 "this pid namespace is not the kernel's own, and the kernel cannot translate pids: run in the host's (docker run "
			 "--pid=host, hostPID: true)");
		return err;
	}
	err = find_engine(all, py, global_pid, &e, why, why_size);
	if (err)
		return err;
	err = engine__add(e, global_pid, &slot);
	if (err) {
		snprintf(why, why_size, err == -ENOSPC ? "no more than %u processes can be traced at once" : "no room for another process",
			 all->opts.procs_max);
		return err;
	}
	t = new_tracer(all, e, py);
	if (!t) {
		engine__remove(e, slot);
		return -ENOMEM;
	}
	t->slot = slot;
	t->global_pid = global_pid;
	*out = t;
	return 0;
}

const struct allocators *tracer__allocators(const struct tracer *t)
{
	return t->own ?: engine__allocators(t->engine);
}

/* By how much later its interpreter is than that of the process in which they were found. */
static uint64_t delta_of(const struct tracer *t)
{
	return t->own ? 0 : t->py->bias - engine__bias(t->engine);
}

static int redirect_tables(struct tracer *t)
{
	const struct allocators *a = tracer__allocators(t);
	uint64_t delta = delta_of(t);
	struct redirect_word words[REDIRECT_WORDS_MAX];
	struct proc_status st;
	size_t cnt = 0;
	int err;

	for (int i = 0; i < TABLE_CNT * OP_CNT; i++) {
		const struct alloc_slot *slot = &a->slots[i / OP_CNT][i % OP_CNT];

		if (slot->redirect)
			words[cnt++] = (struct redirect_word){ slot->addr + delta, slot->fn + delta, slot->alias + delta };
	}
	if (!cnt && !t->all->opts.stop_at_finalize)
		return 0;
	err = procfs__status(t->py->pid, &st);
	return err ?: redirect__apply(t->all->guardian, t->py->pid, st.start_ticks, words, cnt, t->all->opts.stop_at_finalize, &t->redirect);
}

static int open_gate(struct tracer *t)
{
	const struct gate_process proc = { t->engine, t->slot, t->py->pid, t->py, t->py->open_path, tracer__allocators(t), t->redirect };
	const struct gate_opts opts = { t->all->opts.budget, t->all->opts.max_pause_ns };

	if (!t->all->opts.budget)
		return 0;
	return gate__new(t->all->gates, &proc, &opts, tracers__cost(t->all), &t->gate);
}

/* It begins anew: what its gate knew of the time before is lost with it. */
static void close_gate(struct tracer *t)
{
	gate__free(t->gate);
	t->gate = NULL;
}

static int use_own_allocators(struct tracer *t, struct allocators *own)
{
	if (t->own)
		allocators__close(t->own);
	free(t->own);
	t->own = own;
	redirect__undo(t->redirect);
	t->redirect = NULL;
	return redirect_tables(t);
}

/* From now on the programs tell when other functions stand in the tables. */
static void watch_tables(struct tracer *t)
{
	struct proc_state *state = engine__state(t->engine, t->slot);
	const struct allocators *a = tracer__allocators(t);
	uint64_t delta = delta_of(t);

	for (int i = 0; i < TABLE_CNT; i++) {
		const struct alloc_slot *slot = &a->slots[i][OP_MALLOC];

		if (slot->addr)
			state->tables[i] = (struct table_watch){ slot->addr + delta, alloc_slot__fn(slot, delta),
								 slot->alias ? slot->alias + delta : 0 };
	}
	state->mixed |= a->any_is_raw || t->own;
	state->watch_tables = !a->no_tables;
}

static struct engine_probes *probes_of(struct tracer *t)
{
	for (size_t i = 0; t->all->opts.follow && i < t->all->cnt; i++)
		if (t->all->engines[i] == t->engine)
			return t->all->probes[i];
	return &t->probes;
}

/* Where probes are active in all processes, those of before stay: others may need them. */
static int move_probes(struct tracer *t, char *why, size_t why_size)
{
	struct alloc_probes *probes = &probes_of(t)->alloc;
	struct allocators *next = calloc(1, sizeof(*next));
	int err = next ? allocators__find(t->py, t->all->opts.read_only, next, why, why_size) : -ENOMEM;

	engine__state(t->engine, t->slot)->mixed = 1;
	if (!t->all->opts.budget)
		err = err ?: alloc_probes__attach(probes, next, NULL);
	if (err) {
		if (next)
			allocators__close(next);
		free(next);
		return err;
	}
	if (!t->all->opts.follow && !t->all->opts.budget)
		alloc_probes__retire(probes, next);
	close_gate(t);
	return use_own_allocators(t, next) ?: open_gate(t);
}

static int follow_tables(struct tracer *t, bool noticed_at_once, char *why, size_t why_size)
{
	int err = 0;

	/* Tables are not replaced all at once: what changed meanwhile needs another look. */
	for (int i = 0; i < 10 && !err && !allocators__still(tracer__allocators(t), t->py, delta_of(t)); i++) {
		err = move_probes(t, why, why_size);
		if (err)
			break;
		log_info("process %d has replaced its allocator: the probes follow", t->py->pid);
		if (noticed_at_once || !t->py->gc_stats_addr)
			continue; /* nothing was missed; or it is just starting, and chooses one */
		snprintf(t->gap, sizeof(t->gap), "the target replaced its allocator while it was traced (tracemalloc started or stopped?): what "
			 "happened until this was noticed may be missing or left over");
	}
	return err;
}

void tracer__follow_tables(struct tracer *t, bool stopped)
{
	char why[200] = "";
	int err;

	stopped = stopped && t->all->opts.stop_at_finalize;
	if (!engine__state(t->engine, t->slot)->active)
		return;
	err = follow_tables(t, stopped, why, sizeof(why));
	if (err)
		snprintf(t->gap, sizeof(t->gap), "the target replaced its allocator while it was traced, and the new one cannot be followed: %s",
			 *why ? why : strerror(-err));
	else
		watch_tables(t);
	if (stopped && !engine__state(t->engine, t->slot)->finalized)
		kill(t->py->pid, SIGCONT); /* the programs stopped it for this */
}

const char *tracer__gap(const struct tracer *t)
{
	return *t->gap ? t->gap : NULL;
}

bool tracer__is_tearing_down(const struct tracer *t)
{
	return tracer__state(t)->finalized && !t->all->opts.stop_at_finalize;
}

/* What its parent had put in place of the engine's allocators is what it has itself. */
static void inherit_allocators(struct tracer *t, const struct tracer *parent)
{
	struct allocators *own = parent->own ? calloc(1, sizeof(*own)) : NULL;
	char why[200];

	memcpy(t->gap, parent->gap, sizeof(t->gap));
	if (own && allocators__find(t->py, t->all->opts.read_only, own, why, sizeof(why))) {
		allocators__close(own);
		free(own);
		return;
	}
	t->own = own;
}

int tracer__open_child(struct tracers *all, const struct tracer *parent, const struct fork_event *ev, const struct py_interp *py,
		       struct tracer **out)
{
	struct tracer *t = new_tracer(all, parent->engine, py);
	char why[200];
	int err;

	if (!t) {
		engine__give_up(parent->engine, ev);
		return -ENOMEM;
	}
	err = engine__adopt(parent->engine, ev->child_slot);
	if (err) {
		free(t);
		return err;
	}
	t->slot = ev->child_slot;
	t->global_pid = py->pid;
	inherit_allocators(t, parent);
	redirect_tables(t); /* the words are there already: they are to be put back some day */
	*out = t;
	if (all->opts.budget)
		return engine__attach(t->engine, py->open_path, py->pid, &t->probes, why, sizeof(why)) ?: open_gate(t);
	return engine__inherit(t->engine, parent->slot, ev->child_slot);
}

void tracer__set_runtime(struct tracer *t, const struct py_interp *py)
{
	struct proc_state *state = engine__state(t->engine, t->slot);
	const struct allocators *a = engine__allocators(t->engine);
	uint64_t delta = py->bias - engine__bias(t->engine);

	state->threads_head_addr = py->threads_head_addr;
	state->finalizing_addr = py->finalizing_addr;
	state->tstate_slot_addr = py->tstate_slot_addr;
	state->gil_ptr_addr = py->gil_ptr_addr;
	state->gil_holder_off = py->gil_holder_off;
	state->tls_off = py->tls_off;
	state->interp_bytes_min = py->interp_bytes_min;
	state->interp_bytes_max = py->interp_bytes_max;
	if (a->text_end) {
		state->text_start = a->text_start + delta;
		state->text_end = a->text_end + delta;
	}
}

static void begin_many_gils(struct proc_state *state)
{
	state->strays = 1;
	__atomic_store_n(&state->other_gils, 1, __ATOMIC_RELEASE);
}

/* One that is being made is not in the list yet, or has no GIL yet. */
static bool were_none_made(struct tracer *t, const struct proc_state *state)
{
	uint64_t now = clock__now_ns();

	if (state->interps_made == t->interps_made && t->interps_made_ns)
		return now - t->interps_made_ns > INTERP_MAKING_NS;
	t->interps_made = state->interps_made;
	t->interps_made_ns = now;
	return false;
}

void tracer__look_at_gils(struct tracer *t, int other_gils)
{
	struct proc_state *state = engine__state(t->engine, t->slot);

	if (!other_gils == !state->other_gils)
		return;
	if (!other_gils) {
		if (were_none_made(t, state))
			state->other_gils = 0; /* it shares the GIL, or was something else */
		return;
	}
	begin_many_gils(state);
	if (state->active && (!t->gate || state->gate.phase != GATE_SHUT))
		snprintf(t->gap, sizeof(t->gap), "sub-interpreters with a GIL of their own were made unseen: what was allocated until they were "
			 "noticed may be missing or left over, or have another one's stack");
}

/* Do its probes in the interpreter arrive? Which free is probed there depends on what stands in the tables; true if none is. */
static bool probes_arrive(const struct tracer *t)
{
	const struct allocators *a = engine__allocators(t->engine);
	uint64_t delta = t->py->bias - engine__bias(t->engine);

	for (int i = TABLE_CNT - 1; i >= 0; i--) {
		const struct alloc_slot *slot = &a->slots[i][OP_FREE];

		if (slot->fn && slot->file->interpreter)
			return reach__has_probe(t->py, (t->all->opts.probes == TRACER_NOTHING_AT_ENTRY ? slot->fn : slot->probe.addr) + delta);
	}
	return true;
}

bool tracer__is_foreign(const struct tracer *t)
{
	return t->global_pid != t->py->pid;
}

int tracer__attach(struct tracer *t, char *why, size_t why_size)
{
	int err = 0;

	if (!t->all->opts.follow || t->all->opts.budget)
		err = engine__attach(t->engine, t->py->open_path, t->py->pid, &t->probes, why, why_size);
	if (!t->all->opts.budget)
		err = err ?: engine__attach_libc(t->engine, t->py->pid, &t->probes.links, &t->probes.links);
	if (err)
		goto fail;
	tracer__set_runtime(t, t->py);
	tracers__cost(t->all); /* the measuring must not be measured */
	tracer__look_at_gils(t, py_interp__other_gils(t->py));
	engine__state(t->engine, t->slot)->active = 1;
	tracer__look_at_gils(t, py_interp__other_gils(t->py));
	err = redirect_tables(t);
	if (err) {
		snprintf(why, why_size, "cannot redirect the allocator tables (--read-only does without, but then sees little here): %s",
			 strerror(-err));
		goto fail;
	}
	err = open_gate(t);
	if (err) {
		snprintf(why, why_size, "cannot place the probes: %s", strerror(-err));
		goto fail;
	}
	if (!probes_arrive(t)) {
		snprintf(why, why_size, "the probes do not arrive in its memory: it runs another file than the one that its path leads to");
		err = -ESTALE;
		goto fail;
	}
	watch_tables(t);
	return 0;
fail:
	tracer__detach(t);
	return err;
}

void tracer__detach(struct tracer *t)
{
	gate__stop(t->gate);
	redirect__undo(t->redirect);
	t->redirect = NULL;
	engine__state(t->engine, t->slot)->active = 0;
	engine_probes__close(&t->probes);
}

void tracer__free(struct tracer *t)
{
	if (!t)
		return;
	tracer__detach(t);
	gate__free(t->gate);
	engine__remove(t->engine, t->slot);
	if (t->own)
		allocators__close(t->own);
	free(t->own);
	free(t);
}

void tracer__set_owner(struct tracer *t, void *owner)
{
	engine__set_owner(t->engine, t->slot, owner);
}

void tracer__hold(const struct tracer *t)
{
	if (!t->gate) /* it does so itself, at times */
		redirect__hold(t->redirect);
}

struct engine *tracer__engine(const struct tracer *t)
{
	return t->engine;
}

uint32_t tracer__slot(const struct tracer *t)
{
	return t->slot;
}

const struct proc_state *tracer__state(const struct tracer *t)
{
	return engine__state(t->engine, t->slot);
}

void tracer__set_gc_epoch(struct tracer *t, uint32_t full_collections)
{
	engine__state(t->engine, t->slot)->gc_epoch = full_collections;
}

int tracer__code_gen(const struct tracer *t, uint64_t code, uint32_t *gen)
{
	block_key key = BLOCK_KEY(t->slot, code);
	struct code_state state;

	if (bpf_map_lookup_elem(engine__books(t->engine)->codes_fd, &key, &state))
		return -ENOENT;
	*gen = state.gen;
	return 0;
}

struct gate *tracer__gate(const struct tracer *t)
{
	return t->gate;
}
