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

static void check_kernel(struct report *r)
{
	struct tracer_check check = { .ctx = r, .program = print_program };
	struct utsname u;
	char text[256];
	int err;

	uname(&u);
	good("kernel", u.release);
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		bad(r, EXIT_UNSUPPORTED, "type information", "/sys/kernel/btf/vmlinux is missing: the kernel needs CONFIG_DEBUG_INFO_BTF=y");
	else
		good("type information", "/sys/kernel/btf/vmlinux");
	err = tracer__check(&check);
	if (err) {
		snprintf(text, sizeof(text), "%s: %s", strerror(-err),
			 err == -EPERM || err == -EACCES ? "run as root, or with CAP_BPF and CAP_PERFMON" :
							    "doctor -vv shows what the kernel says");
		bad(r, EXIT_UNSUPPORTED, "BPF programs", text);
		return;
	}
	good("BPF programs", "the kernel takes them");
	good("probes", check.multi ? "all at once (multi-uprobe link)" : "one by one (before kernel 6.6): attach and detach take longer");
	if (check.cost.emulated_ns <= 0) {
		note("cost of a probe", "could not be measured here: the overhead will not be known");
		return;
	}
	snprintf(text, sizeof(text), "%.2f us; with its return %.2f us; where the kernel must single-step %.2f us",
		 check.cost.emulated_ns / 1e3, check.cost.returned_ns / 1e3, check.cost.single_step_ns / 1e3);
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
	else if (a.blind)
		note("allocator", o->read_only ? "inlined, and --read-only forbids to redirect its tables: most allocations will not be seen" :
						 "inlined, and no equivalent entry was found: most allocations will not be seen");
	else
		good("allocator", "inlined; its tables will be redirected while tracing, and put back");
	snprintf(why, sizeof(why), "%zu inlined calls, %zu table words to redirect, %zu places that the kernel must single-step", guards,
		 redirected, stepped);
	note("probe places", why);
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
	if (py.subinterpreters)
		note("sub-interpreters", "those with a GIL of their own (3.12 and later) are seen in part only");
	check_allocators(r, &py, o);
	check_recycling(&py);
	gc_probe__find(&py, &probe);
	line(probe.kind == GC_PROBE_NONE ? "note" : "ok", "garbage collector", gc[probe.kind]);
	py_interp__close(&py);
}

int cmd_doctor(const struct options *o)
{
	struct report r = { .verbose = o->verbose };

	check_privileges(&r);
	check_kernel(&r);
	for (size_t i = 0; i < o->pids_cnt; i++)
		check_process(&r, o->pids[i], o);
	if (r.code)
		printf("\nWhat says NO above must be mended before this host%s can be traced.\n", o->pids_cnt ? " or process" : "");
	return r.code;
}
