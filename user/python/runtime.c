// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "runtime.h"

#include <errno.h>
#include <string.h>

#include "layout.h"
#include "module.h"
#include "tls.h"

enum {
	TRIES = 5,         /* lists change while they are read */
	THREADS_MAX = 64,  /* how many are looked at */
	INTERPS_MAX = 1024,
	INTERP_SIZE_SPREAD = 16384, /* over the patch versions of 3.12, and debug builds */
};

struct finder {
	struct py_interp *py;
	const struct reason *why;
};

static int not_this_layout(const struct finder *f, const char *what)
{
	return reason__set(f->why, -EOPNOTSUPP, "%s of the Python %s in process %d is not where usual builds have it", what,
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

/* To 3.6 the main interpreter is the one that was made first: new ones are put at the head. */
static int oldest_interp(const struct finder *f, uint64_t addr, uint64_t *out)
{
	int err = 0;

	for (int i = 0; i < INTERPS_MAX && addr && !err; i++) {
		*out = addr;
		err = read_word(f, addr + f->py->layout->interp_next, &addr);
	}
	return err;
}

static int find_interp(const struct finder *f)
{
	struct py_interp *py = f->py;
	const struct py_layout *l = py->layout;
	uint64_t head, id;
	int err;

	err = read_word(f, py->interp_head_addr, &head);
	if (!err)
		err = py->runtime_addr ? read_word(f, py->runtime_addr + l->runtime_interp_main, &py->interp_addr) :
					 oldest_interp(f, head, &py->interp_addr);
	if (err)
		return unreadable(f, err);
	if (!py->interp_addr || !head)
		return too_early(f);
	if (!is_pointer(f, py->interp_addr) || !is_pointer(f, head))
		return not_this_layout(f, "the main interpreter");
	if (l->interp_id == NO_OFF)
		return 0;
	err = read_word(f, py->interp_addr + l->interp_id, &id);
	if (err)
		return unreadable(f, err);
	return id ? not_this_layout(f, "the main interpreter") : 0;
}

static int count(const struct py_interp *py, int *gils)
{
	const struct py_layout *l = py->layout;
	uint64_t addr = py->interp_head_addr - l->interp_next, main_gil = 0, gil;
	int cnt = 0;

	if (l->interp_gil != NO_OFF && remote__read_u64(&py->mem, py->interp_addr + l->interp_gil, &main_gil))
		main_gil = 0;
	*gils = 0;
	for (; cnt < INTERPS_MAX && !remote__read_u64(&py->mem, addr + l->interp_next, &addr) && addr; cnt++)
		*gils += main_gil && !remote__read_u64(&py->mem, addr + l->interp_gil, &gil) && gil && gil != main_gil;
	return cnt ? cnt - 1 : 0;
}

void py_interp__count(struct py_interp *py)
{
	py->subinterpreters = count(py, &py->other_gils);
}

int py_interp__other_gils(const struct py_interp *py)
{
	int gils = 0;

	if (py->layout->interp_gil != NO_OFF && py->interp_addr)
		count(py, &gils);
	return gils;
}

/* glibc and musl keep a thread's own address in the first word of what FS points to. */
static bool is_thread(const struct finder *f, uint64_t thread_id)
{
	uint64_t self;

	return thread_id && !read_word(f, thread_id, &self) && self == thread_id;
}

/* Any thread will do. One in the making has no id yet. */
static int find_tls(const struct finder *f)
{
	const struct py_layout *l = f->py->layout;
	uint64_t tstate, thread;

	if (l->interp_gil == NO_OFF || read_word(f, f->py->threads_head_addr, &tstate))
		return 0;
	for (int i = 0; tstate && i < THREADS_MAX && !f->py->tls_off; i++) {
		if (!read_word(f, tstate + l->tstate_thread_id, &thread) && is_thread(f, thread))
			f->py->tls_off = tls__current_tstate(f->py, thread);
		if (read_word(f, tstate + l->tstate_next, &tstate))
			break;
	}
	return 0;
}

static int count_interps(const struct finder *f)
{
	py_interp__count(f->py);
	return 0;
}

/* 0, -EAGAIN: no thread yet, or the list changed meanwhile; -EFAULT: this is no list of thread states. */
static int check_threads_once(const struct finder *f)
{
	const struct py_layout *l = f->py->layout;
	uint64_t tstate, prev = 0, back = 0, interp, thread_id;
	bool found = false;

	if (read_word(f, f->py->threads_head_addr, &tstate))
		return -EFAULT;
	if (!tstate)
		return -EAGAIN;
	for (int i = 0; tstate && i < THREADS_MAX; i++) {
		if (l->tstate_prev != NO_OFF && read_word(f, tstate + l->tstate_prev, &back))
			return -EFAULT;
		if (read_word(f, tstate + l->tstate_interp, &interp) || read_word(f, tstate + l->tstate_thread_id, &thread_id))
			return -EFAULT;
		if ((l->tstate_prev != NO_OFF && back != prev) || interp != f->py->interp_addr)
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

static bool is_interp(const struct finder *f, uint64_t addr)
{
	uint64_t interp;

	if (read_word(f, f->py->interp_head_addr, &interp))
		return false;
	for (int i = 0; i < INTERPS_MAX && interp && interp != addr; i++)
		if (read_word(f, interp + f->py->layout->interp_next, &interp))
			return false;
	return interp && interp == addr;
}

/* It is empty while nobody has the GIL, and its owner may end while we look. */
static int check_tstate_slot(const struct finder *f)
{
	uint64_t tstate, interp;

	for (int i = 0; i < TRIES; i++)
		if (!read_word(f, f->py->tstate_slot_addr, &tstate) &&
		    (!tstate || (!read_word(f, tstate + f->py->layout->tstate_interp, &interp) && is_interp(f, interp))))
			return 0;
	return not_this_layout(f, "the current thread");
}

/*
 * The last holder may be gone, and its memory with it: what is left was a pointer, though, and none of the small numbers around it. An
 * interpreter with threads has had one (Python/ceval_gil.c: take_gil() sets it and nothing takes it back), unless it was forked just now.
 */
static int check_last_holder(const struct finder *f)
{
	uint64_t tstate = 0;

	for (int i = 0; i < TRIES; i++)
		if (!read_word(f, f->py->tstate_slot_addr, &tstate) && tstate >= 1 << 16 && tstate < 1UL << 47 && !(tstate & 7))
			return 0;
	if (!tstate)
		return reason__set(f->why, -EAGAIN, "nobody has had the GIL of the Python %s in process %d so far, or it is not where usual builds "
				   "have it", f->py->version, f->py->pid);
	return not_this_layout(f, "the current thread");
}

static int find_tstate_slot(const struct finder *f)
{
	struct py_interp *py = f->py;
	uint64_t gil;
	int err;

	if (py->layout->interp_gil == NO_OFF)
		return check_tstate_slot(f);
	err = read_word(f, py->interp_addr + py->layout->interp_gil, &gil);
	if (err)
		return unreadable(f, err);
	if (!gil)
		return too_early(f);
	if (!is_pointer(f, gil))
		return not_this_layout(f, "the GIL");
	py->tstate_slot_addr = gil + py->layout->gil_last_holder;
	return check_last_holder(f);
}

static bool is_list_head(const struct finder *f, uint64_t head)
{
	uint64_t next, back;

	/* The collector borrows the lowest bits of the links. */
	for (int i = 0; i < TRIES; i++)
		if (!read_word(f, head, &next) && next && !read_word(f, (next & ~3UL) + 8, &back) && (back & ~3UL) == head)
			return true;
	return false;
}

/* Modules/gcmodule.c to 3.6: generations[3] of {PyGC_Head head; int threshold, count;}, the first one's address exported. */
static int find_gc_variables(const struct finder *f)
{
	struct py_interp *py = f->py;
	uint64_t addr = module__symbol(py, "_PyGC_generation0"), generations;

	if (!addr || read_word(f, addr, &generations))
		return not_this_layout(f, "the collector's state");
	if (!is_list_head(f, generations))
		return too_early(f);
	/* bpo-27987: 3.6 had heads of 24 bytes, then of 32; bpo-33374: 2.7's were aligned to 16 bytes, then to 8. */
	if (is_list_head(f, generations + 48) || (py->major < 3 && is_list_head(f, generations + 40)))
		py->gc_head_bytes = 32;
	else if (py->major == 3 && is_list_head(f, generations + 32))
		py->gc_head_bytes = 24;
	else
		return not_this_layout(f, "the collector's state");
	py->gc_stats_addr = py->major < 3 ? 0 : module__symbol(py, "generation_stats");
	/* 2.7's heads may be aligned to 8: then there are 8 bytes less between them. */
	for (int i = 0, step = is_list_head(f, generations + 48) ? 48 : py->gc_head_bytes + 8; i < 3; i++)
		py->gc_lists[i] = generations + i * step;
	return 0;
}

enum {
	STATS_TO_GARBAGE = 80,      /* generation_stats[3], int collecting; PyObject *garbage */
	GENERATION0_TO_PERMANENT = 8, /* generation0; permanent_generation */
};

/* struct gc_generation {PyGC_Head head; int threshold, count;}: three and the permanent one; in 3.14 young, old[2] and the permanent one. */
static void find_gc_lists(struct py_interp *py, uint64_t gc, uint64_t first)
{
	const struct py_layout *l = py->layout;
	/* PyGC_Head is aligned to 16 where it has 32 bytes */
	uint64_t step = py->gc_head_bytes == 32 ? 48 : py->gc_head_bytes + 8;

	for (int i = 0; i < 4; i++)
		py->gc_lists[i] = first + i * step;
	if (l->gc_generation0 != NO_OFF)
		py->gc_lists[3] = (gc + l->gc_generation0 + GENERATION0_TO_PERMANENT + (step == 48 ? 15 : 0)) & ~(step == 48 ? 15ULL : 0);
	py->gc_garbage_addr = gc + l->gc_stats + STATS_TO_GARBAGE;
}

static int find_gc(const struct finder *f)
{
	struct py_interp *py = f->py;
	const struct py_layout *l = py->layout;
	uint64_t gc, generation0;
	int err;

	if (!py->runtime_addr)
		return find_gc_variables(f);
	gc = l->runtime_gc != NO_OFF ? py->runtime_addr + l->runtime_gc : py->interp_addr + l->interp_gc;
	if (l->gc_generation0 == NO_OFF) {
		if (!is_list_head(f, gc + l->gc_generations))
			return not_this_layout(f, "the collector's state");
		py->gc_stats_addr = gc + l->gc_stats;
		find_gc_lists(py, gc, gc + l->gc_generations);
		return 0;
	}
	/* It points to the first generation, which is in the same structure. */
	err = read_word(f, gc + l->gc_generation0, &generation0);
	if (err)
		return unreadable(f, err);
	if (!generation0)
		return too_early(f);
	if (generation0 != gc + l->gc_generations && generation0 != gc + l->gc_generations_packed)
		return not_this_layout(f, "the collector's state");
	py->gc_stats_addr = gc + l->gc_stats;
	find_gc_lists(py, gc, generation0);
	return 0;
}

/* What has its place before the interpreter is initialised. */
static void find_static(struct py_interp *py)
{
	const struct py_layout *l = py->layout;

	py->runtime_addr = l->runtime_interp_head == NO_OFF ? 0 : module__symbol(py, "_PyRuntime");
	if (!py->runtime_addr) {
		py->interp_head_addr = module__returned_variable(py, "PyInterpreterState_Head");
		py->tstate_slot_addr = module__symbol(py, "_PyThreadState_Current");
		/* Python/pythonrun.c, 2.7: static int initialized */
		py->finalizing_addr = py->major < 3 ? module__returned_variable(py, "Py_IsInitialized") :
						      module__symbol(py, "_Py_Finalizing");
		return;
	}
	py->interp_head_addr = py->runtime_addr + l->runtime_interp_head;
	py->finalizing_addr = py->runtime_addr + l->runtime_finalizing;
	if (l->interp_gil == NO_OFF) {
		py->tstate_slot_addr = py->runtime_addr + l->runtime_tstate_current;
	} else {
		py->gil_ptr_addr = py->runtime_addr + l->runtime_main_interp + (py->debug ? l->debug_main_interp : 0) + l->interp_gil;
		py->gil_holder_off = l->gil_last_holder;
		if (l->interp_size != NO_OFF) {
			py->interp_bytes_min = l->interp_size - INTERP_SIZE_SPREAD;
			py->interp_bytes_max = l->interp_size + INTERP_SIZE_SPREAD;
		}
	}
}

int runtime__find(struct py_interp *py, const struct reason *why)
{
	const struct finder f = { .py = py, .why = why };
	int (*const steps[])(const struct finder *) = { find_interp, check_threads, find_tstate_slot, find_gc,
							find_tls, count_interps };
	int err = 0;

	find_static(py);
	if (!py->interp_head_addr || (!py->tstate_slot_addr && py->layout->interp_gil == NO_OFF))
		return not_this_layout(&f, "the interpreter state");
	err = debug_offsets__check(py, why);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !err; i++)
		err = steps[i](&f);
	return err;
}
