// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "allocators.h"
#include "commands.h"
#include "gc_probe.h"
#include "host.h"
#include "options.h"
#include "procfs.h"
#include "python.h"
#include "recycle.h"
#include "text.h"
#include "tracer.h"

struct report {
	int verbose;
	int code; /* the worst so far, enum exit_code */
};

static void line(const char *mark, const char *what, const char *text)
{
	char clean[1024];

	text__clean(clean, sizeof(clean), text, strlen(text));
	printf("%-4s %-22s %s\n", mark, what, clean);
}

static void good(const char *what, const char *text)
{
	line("ok", what, text);
}

static void note(const char *what, const char *text)
{
	line("note", what, text);
}

static void bad(struct report *r, int code, const char *what, const char *text)
{
	line("NO", what, text);
	if (!r->code)
		r->code = code;
}

static bool has_cap(cap_value_t cap)
{
	cap_flag_value_t v = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps) {
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &v);
		cap_free(caps);
	}
	return v == CAP_SET;
}

static void check_privileges(struct report *r)
{
	bool admin = has_cap(CAP_SYS_ADMIN);

	if (admin || (has_cap(CAP_BPF) && has_cap(CAP_PERFMON)))
		good("load BPF", geteuid() ? "by capability" : "root");
	else
		bad(r, EXIT_UNSUPPORTED, "load BPF", "needs root, or CAP_BPF and CAP_PERFMON");
	if (has_cap(CAP_SYS_PTRACE))
		good("read other processes", "CAP_SYS_PTRACE");
	else
		note("read other processes", "only your own: CAP_SYS_PTRACE is missing");
}

static void print_program(void *ctx, const char *name, uint32_t insns, uint32_t bytes)
{
	const struct report *r = ctx;
	char text[96];

	if (!r->verbose)
		return;
	snprintf(text, sizeof(text), "%u instructions verified, %u bytes of machine code", insns, bytes);
	note(name, text);
}

static void check_namespaces(struct report *r)
{
	if (procfs__check_namespace())
		bad(r, EXIT_UNSUPPORTED, "/proc", "shows another pid namespace than ours: mount our own (mount -t proc proc /proc), or run in the host's");
	else if (procfs__in_initial_pid_namespace())
		good("pid namespace", "the kernel's own: every process can be traced");
	else
		note("pid namespace", "a container's: only processes in it can be traced, by the pids they have here");
}

static void check_kernel(struct report *r)
{
	struct engine_check check = { .ctx = r, .program = print_program };
	bool multi = uprobe__have_multi() && calibrate__multi_sees_threads();
	struct tracer_cost cost;
	struct utsname u;
	char text[256];
	int err;

	uname(&u);
	good("kernel", u.release);
	if (host__missing())
		bad(r, EXIT_UNSUPPORTED, "type information", host__missing());
	else
		good("type information", "/sys/kernel/btf/vmlinux");
	err = engine__check(multi, &check);
	if (err) {
		snprintf(text, sizeof(text), "%s: %s", host__missing() ? "no type information" : strerror(-err),
			 err == -EPERM || err == -EACCES ? "run as root, or with CAP_BPF and CAP_PERFMON" :
							    "doctor -vv shows what the kernel says");
		bad(r, EXIT_UNSUPPORTED, "BPF programs", text);
		return;
	}
	good("BPF programs", "the kernel takes them");
	good("probes", multi ? "all at once (multi-uprobe link)" : "one by one (before kernel 6.6): attach and detach take longer");
	if (calibrate__probes(multi, true, &cost)) {
		note("cost of a probe", "could not be measured here: the overhead will not be known");
		return;
	}
	snprintf(text, sizeof(text), "%.2f us; with its return %.2f us; where the kernel must single-step %.2f us; placing and removing one %.0f us",
		 cost.emulated_ns / 1e3, cost.returned_ns / 1e3, cost.single_step_ns / 1e3, cost.place_ns / 1e3);
	good("cost of a probe", text);
}

static void check_allocators(struct report *r, const struct py_interp *py, const struct options *o)
{
	struct allocators a;
	size_t guards = 0, stepped = 0, redirected = 0;
	char why[512];
	int err = allocators__find(py, o->read_only, &a, why, sizeof(why));

	if (err) {
		bad(r, EXIT_UNSUPPORTED, "allocator", *why ? why : strerror(-err));
		allocators__close(&a);
		return;
	}
	for (int i = 0; i < TABLE_CNT * OP_CNT; i++) {
		const struct alloc_slot *s = &a.slots[i / OP_CNT][i % OP_CNT];

		guards += i / OP_CNT == TABLE_MEM && a.mem_is_obj ? 0 : s->guards;
		stepped += s->probe.cost == PLACE_SINGLE_STEP;
		redirected += s->redirect;
	}
	if (!guards)
		good("allocator", "not inlined: probes see every call");
	else if (a.no_tables)
		note("allocator", "inlined, and Python 2.7 has no tables to redirect: most objects will not be seen, only what comes from libc");
	else if (a.blind)
		note("allocator", o->read_only ? "inlined, and --read-only forbids to redirect its tables: most allocations will not be seen" :
						 "inlined, and no equivalent entry was found: most allocations will not be seen");
	else
		good("allocator", "inlined; its tables will be redirected while tracing, and put back");
	snprintf(why, sizeof(why), "%zu inlined calls, %zu table words to redirect, %zu places that the kernel must single-step", guards,
		 redirected, stepped);
	note("probe places", why);
	if (a.hooked)
		note("allocator functions", "of an extension (PyMem_SetAllocator): probed there");
	if (a.any_is_raw)
		note("allocator functions", "the same for raw memory and for objects (PYTHONMALLOC=malloc?): each call is looked up by its thread");
	allocators__close(&a);
}

static void check_recycling(const struct py_interp *py)
{
	struct recycle_point points[RECYCLE_MAX];
	size_t cnt = recycle__find_all(py, points, RECYCLE_MAX);
	char text[128];

	if (!cnt) {
		note("recycled objects", "not seen: dicts, lists, tuples and floats from free lists keep the line of their block's first use");
		return;
	}
	snprintf(text, sizeof(text), "booked where they are made: %zu places that look into free lists (multi-uprobe links needed)", cnt);
	good("recycled objects", text);
}

static void check_process(struct report *r, pid_t pid, const struct options *o)
{
	static const char *const gc[] = {
		[GC_PROBE_NONE] = "no symbol, no USDT: counts are read, durations are not known",
		[GC_PROBE_FUNCTION] = "probed by symbol",
		[GC_PROBE_USDT] = "probed by USDT",
	};
	struct py_interp py;
	struct gc_probe probe;
	char why[512] = "";
	int err = py_interp__open(&py, pid, why, sizeof(why));

	printf("\nprocess %d\n", pid);
	if (err) {
		bad(r, err == -ESRCH || err == -EPERM ? EXIT_TARGET : EXIT_UNSUPPORTED, "interpreter", *why ? why : strerror(-err));
		return;
	}
	snprintf(why, sizeof(why), "CPython %s, %s", py.version, py.shared ? "shared library" : "in the executable");
	good("interpreter", why);
	note("file", py.module_path);
	if (py.other_gils)
		note("sub-interpreters", "some have a GIL of their own: each allocation is looked up by its thread, which costs more");
	check_allocators(r, &py, o);
	check_recycling(&py);
	gc_probe__find(&py, &probe);
	if (probe.kind == GC_PROBE_NONE && !py.gc_stats_addr)
		note("garbage collector", "no symbol, no USDT, and no counts to read: collections are not known");
	else
		line(probe.kind == GC_PROBE_NONE ? "note" : "ok", "garbage collector", gc[probe.kind]);
	py_interp__close(&py);
}

int cmd_doctor(const struct options *o)
{
	struct report r = { .verbose = o->verbose };

	check_privileges(&r);
	check_namespaces(&r);
	check_kernel(&r);
	for (size_t i = 0; i < o->pids_cnt; i++)
		check_process(&r, o->pids[i], o);
	if (r.code)
		printf("\nWhat says NO above must be mended before this host%s can be traced.\n", o->pids_cnt ? " or process" : "");
	return r.code;
}
