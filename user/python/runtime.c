// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "runtime.h"

#include <errno.h>
#include <string.h>

#include "layout.h"
#include "module.h"

enum {
	TRIES = 5,         /* lists change while they are read */
	THREADS_MAX = 64,  /* how many are looked at */
	INTERPS_MAX = 1024,
};

struct finder {
	struct py_interp *py;
	const struct reason *why;
};

static int not_this_layout(const struct finder *f, const char *what)
{
	return reason__set(f->why, -EOPNOTSUPP, "%s of the Python %s in process %d is not where release builds have it", what,
			   f->py->version, f->py->pid);
}

static int too_early(const struct finder *f)
{
	return reason__set(f->why, -EAGAIN, "the Python in process %d is not initialised yet", f->py->pid);
}

static int unreadable(const struct finder *f, int err)
{
	/* What a pointer led to is not mapped: it was none. */
	if (err == -EFAULT)
		return not_this_layout(f, "the interpreter state");
	return reason__set(f->why, err, "cannot read the memory of process %d: %s", f->py->pid, strerror(-err));
}

static int read_word(const struct finder *f, uint64_t addr, uint64_t *out)
{
	return remote__read_u64(&f->py->mem, addr, out);
}

/* By trying: the mappings as they were read may be older than what was allocated since. */
static bool is_pointer(const struct finder *f, uint64_t addr)
{
	uint64_t word;

	return !(addr & 7) && !read_word(f, addr, &word);
}

static int find_interp(const struct finder *f)
{
	struct py_interp *py = f->py;
	const struct py_layout *l = py->layout;
	uint64_t head, id;
	int err;

	err = read_word(f, py->runtime_addr + l->runtime_interp_main, &py->interp_addr);
	if (err)
		return unreadable(f, err);
	err = read_word(f, py->runtime_addr + l->runtime_interp_head, &head);
	if (err)
		return unreadable(f, err);
	if (!py->interp_addr || !head)
		return too_early(f);
	if (!is_pointer(f, py->interp_addr) || !is_pointer(f, head))
		return not_this_layout(f, "the main interpreter");
	err = read_word(f, py->interp_addr + l->interp_id, &id);
	if (err)
		return unreadable(f, err);
	return id ? not_this_layout(f, "the main interpreter") : 0;
}

static int count_interps(const struct finder *f)
{
	struct py_interp *py = f->py;
	uint64_t addr = py->runtime_addr + py->layout->runtime_interp_head - py->layout->interp_next;
	int cnt = 0;

	while (cnt < INTERPS_MAX && !read_word(f, addr + py->layout->interp_next, &addr) && addr)
		cnt++;
	py->subinterpreters = cnt ? cnt - 1 : 0;
	return 0;
}

/* glibc and musl keep a thread's own address in the first word of what FS points to. */
static bool is_thread(const struct finder *f, uint64_t thread_id)
{
	uint64_t self;

	return thread_id && !read_word(f, thread_id, &self) && self == thread_id;
}

/* 0, -EAGAIN: no thread yet, or the list changed meanwhile; -EFAULT: this is no list of thread states. */
static int check_threads_once(const struct finder *f)
{
	const struct py_layout *l = f->py->layout;
	uint64_t tstate, prev = 0, back, interp, thread_id;
	bool found = false;

	if (read_word(f, f->py->threads_head_addr, &tstate))
		return -EFAULT;
	if (!tstate)
		return -EAGAIN;
	for (int i = 0; tstate && i < THREADS_MAX; i++) {
		if (read_word(f, tstate + l->tstate_prev, &back) || read_word(f, tstate + l->tstate_interp, &interp) ||
		    read_word(f, tstate + l->tstate_thread_id, &thread_id))
			return -EFAULT;
		if (back != prev || interp != f->py->interp_addr)
			return -EFAULT;
		found = found || is_thread(f, thread_id);
		prev = tstate;
		if (read_word(f, tstate + l->tstate_next, &tstate))
			return -EFAULT;
	}
	/* A new thread has no id before it runs: there must be another one that does. */
	return found ? 0 : -EAGAIN;
}

static int check_threads(const struct finder *f)
{
	int err = 0;

	f->py->threads_head_addr = f->py->interp_addr + f->py->layout->interp_tstate_head;
	for (int i = 0; i < TRIES; i++) {
		err = check_threads_once(f);
		if (!err)
			return 0;
	}
	return err == -EAGAIN ? too_early(f) : not_this_layout(f, "the list of threads");
}

static int find_tstate_slot(const struct finder *f)
{
	struct py_interp *py = f->py;
	uint64_t gil;
	int err;

	if (py->layout->interp_gil == NO_OFF) {
		py->tstate_slot_addr = py->runtime_addr + py->layout->runtime_tstate_current;
		return 0;
	}
	err = read_word(f, py->interp_addr + py->layout->interp_gil, &gil);
	if (err)
		return unreadable(f, err);
	if (!gil)
		return too_early(f);
	if (!is_pointer(f, gil))
		return not_this_layout(f, "the GIL");
	py->tstate_slot_addr = gil + py->layout->gil_last_holder;
	return 0;
}

static int find_gc(const struct finder *f)
{
	struct py_interp *py = f->py;
	const struct py_layout *l = py->layout;
	uint64_t gc, generation0;
	int err;

	gc = l->runtime_gc != NO_OFF ? py->runtime_addr + l->runtime_gc : py->interp_addr + l->interp_gc;
	/* It points to the first generation, which is in the same structure. */
	err = read_word(f, gc + l->gc_generation0, &generation0);
	if (err)
		return unreadable(f, err);
	if (!generation0)
		return too_early(f);
	if (generation0 != gc + l->gc_generations)
		return not_this_layout(f, "the collector's state");
	py->gc_stats_addr = gc + l->gc_stats;
	return 0;
}

/* What has its place before the interpreter is initialised. */
static void find_static(struct py_interp *py)
{
	const struct py_layout *l = py->layout;

	py->runtime_addr = module__symbol(py, "_PyRuntime");
	py->finalizing_addr = py->runtime_addr + l->runtime_finalizing;
	if (l->interp_gil == NO_OFF) {
		py->tstate_slot_addr = py->runtime_addr + l->runtime_tstate_current;
	} else {
		py->gil_ptr_addr = py->runtime_addr + l->runtime_main_interp + l->interp_gil;
		py->gil_holder_off = l->gil_last_holder;
	}
}

int runtime__find(struct py_interp *py, const struct reason *why)
{
	const struct finder f = { .py = py, .why = why };
	int (*const steps[])(const struct finder *) = { find_interp, check_threads, find_tstate_slot, find_gc,
							count_interps };
	int err = 0;

	find_static(py);
	err = debug_offsets__check(py, why);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !err; i++)
		err = steps[i](&f);
	return err;
}
