// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "calibrate.h"
#include "clock.h"
#include "procfs.h"
#include "tracer.h"
#include "uprobe.h"

/* Their first instruction is one that the kernel emulates (push), and one that it single-steps (lea). */
void pyleak_probe_emulated(void);
void pyleak_probe_stepped(void);
__asm__(".text\n"
	".p2align 4\n"
	".globl pyleak_probe_emulated\n"
	".type pyleak_probe_emulated,@function\n"
	"pyleak_probe_emulated:\n"
	"	push %rbx\n"
	"	pop %rbx\n"
	"	ret\n"
	".size pyleak_probe_emulated,.-pyleak_probe_emulated\n"
	".p2align 4\n"
	".globl pyleak_probe_stepped\n"
	".type pyleak_probe_stepped,@function\n"
	"pyleak_probe_stepped:\n"
	"	lea -1(%rsi),%rax\n"
	"	ret\n"
	".size pyleak_probe_stepped,.-pyleak_probe_stepped\n");

/* PLACES functions that are never called, and in the same page one that is. */
#define ROUNDS 5
#define ROUND_PLACES 16
#define PLACES (ROUNDS * ROUND_PLACES + 1)
#define PLACE_BYTES 16
#define STRING_(x) #x
#define STRING(x) STRING_(x)
void pyleak_probe_places(void);
void pyleak_probe_neighbour(void);
__asm__(".text\n"
	".p2align 11\n"
	".globl pyleak_probe_places\n"
	".type pyleak_probe_places,@function\n"
	"pyleak_probe_places:\n"
	".rept " STRING(PLACES) "\n"
	"	push %rbx\n"
	"	pop %rbx\n"
	"	ret\n"
	".p2align 4\n"
	".endr\n"
	".size pyleak_probe_places,.-pyleak_probe_places\n"
	".globl pyleak_probe_neighbour\n"
	".type pyleak_probe_neighbour,@function\n"
	"pyleak_probe_neighbour:\n"
	"	push %rbx\n"
	"	pop %rbx\n"
	"	ret\n"
	".size pyleak_probe_neighbour,.-pyleak_probe_neighbour\n");

#define PLACE_HITS 10 /* on a machine that has no processor to spare for measuring it: placing one costs as much as so many hits, about */
#define WINDOW_NS 2000000
#define SPINS 200

/* The least of several short runs: what disturbs only ever adds. */
static double ns_per_call(void (*fn)(void))
{
	double best = 1e18;

	for (int round = 0; round < 5; round++) {
		double start = clock__ns(CLOCK_THREAD_CPUTIME_ID), ns;

		for (int i = 0; i < 200; i++)
			fn();
		ns = (clock__ns(CLOCK_THREAD_CPUTIME_ID) - start) / 200;
		if (ns < best)
			best = ns;
	}
	return best;
}

static int measure(const struct uprobe_target *target, const struct proc_maps *maps, int prog_fd, void (*fn)(void), bool returns,
		   double *ns)
{
	struct uprobe_links links = {};
	double plain = ns_per_call(fn);
	uint64_t off;
	int err;

	err = proc_maps__file_off(maps, (uintptr_t)fn, &off);
	err = err ?: uprobe__attach(target, prog_fd, &off, NULL, 1, false, &links);
	if (!err && returns)
		err = uprobe__attach(target, prog_fd, &off, NULL, 1, true, &links);
	if (!err)
		*ns = ns_per_call(fn) - plain;
	uprobe_links__close(&links);
	return err;
}

struct spinner {
	pthread_t thread;
	clockid_t clock;
	uint64_t spins;
	bool stop;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < SPINS; i++)
			pyleak_probe_neighbour();
		__atomic_store_n(&s->spins, s->spins + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* A place is taken once only: at one that has a probe already nothing is changed. */
static int place(const struct uprobe_target *target, int prog_fd, const uint64_t *offs, struct spinner *s, double *lost_ns, struct uprobe_links *links)
{
	const struct timespec window = { .tv_nsec = WINDOW_NS };
	uint64_t cpu[3], spins[3], start, end;
	int err;

	for (int i = 0; i < 2; i++) {
		cpu[i] = clock__ns(s->clock);
		spins[i] = __atomic_load_n(&s->spins, __ATOMIC_RELAXED);
		if (!i)
			nanosleep(&window, NULL);
	}
	start = clock__now_ns();
	err = uprobe__attach(target, prog_fd, offs, NULL, ROUND_PLACES, false, links);
	end = clock__now_ns();
	cpu[2] = clock__ns(s->clock);
	spins[2] = __atomic_load_n(&s->spins, __ATOMIC_RELAXED);
	if (err)
		return err;
	if (spins[1] == spins[0] || cpu[2] - cpu[1] < (end - start) / 2) /* it did not run meanwhile */
		return -EAGAIN;
	*lost_ns = (double)(cpu[2] - cpu[1]) - (double)(spins[2] - spins[1]) * (cpu[1] - cpu[0]) / (spins[1] - spins[0]);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * The kernel interrupts whoever runs in that memory, and takes the page from under it. Removing is not measured, as it ends with waiting: it
 * takes as much (tried on 6.18).
 */
static int measure_placing(const struct uprobe_target *target, const struct proc_maps *maps, int prog_fd, double *ns)
{
	struct uprobe_links links = {};
	struct spinner s = {};
	double lost[ROUNDS];
	uint64_t offs[PLACES];
	size_t cnt = 0;
	int err = 0;

	for (int i = 0; i < PLACES && !err; i++)
		err = proc_maps__file_off(maps, (uintptr_t)pyleak_probe_places + i * PLACE_BYTES, &offs[i]);
	err = err ?: -pthread_create(&s.thread, NULL, spin, &s);
	if (err)
		return err;
	err = -pthread_getcpuclockid(s.thread, &s.clock);
	/* the first one waits for a grace period: see keeper_warm.h */
	err = err ?: uprobe__attach(target, prog_fd, &offs[PLACES - 1], NULL, 1, false, &links);
	for (int i = 0; i < ROUNDS && (!err || err == -EAGAIN); i++) {
		err = place(target, prog_fd, offs + i * ROUND_PLACES, &s, &lost[cnt], &links);
		cnt += !err;
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(s.thread, NULL);
	uprobe_links__close(&links);
	if (err && err != -EAGAIN)
		return err;
	qsort(lost, cnt, sizeof(*lost), by_value);
	*ns = cnt ? 2 * lost[cnt / 2] / ROUND_PLACES : 0;
	return *ns > 0 ? 0 : -EAGAIN;
}

/* Adds one to the only element of MAP_FD. */
static int counting_program(int map_fd)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		{ .code = BPF_STX | BPF_XADD | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = {
		.sz = sizeof(opts),
		.expected_attach_type = (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE,
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "pyleak_count", "GPL", insns, sizeof(insns) / sizeof(insns[0]), &opts);

	return fd < 0 ? -errno : fd;
}

static void *call_once(void *arg)
{
	pyleak_probe_emulated();
	return arg;
}

bool calibrate__multi_sees_threads(void)
{
	struct uprobe_target self = { .path = "/proc/self/exe", .pid = getpid(), .multi = true };
	int map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pyleak_count", sizeof(uint32_t), sizeof(uint64_t), 1, NULL);
	int prog_fd = map_fd < 0 ? -errno : counting_program(map_fd);
	struct uprobe_links links = {};
	struct proc_maps maps = {};
	uint64_t off, hits = 0;
	uint32_t zero = 0;
	pthread_t thread;
	int err;

	err = prog_fd < 0 ? prog_fd : procfs__maps(getpid(), &maps);
	err = err ?: proc_maps__file_off(&maps, (uintptr_t)pyleak_probe_emulated, &off);
	err = err ?: uprobe__attach(&self, prog_fd, &off, NULL, 1, false, &links);
	err = err ?: -pthread_create(&thread, NULL, call_once, NULL);
	if (!err) {
		pthread_join(thread, NULL);
		err = bpf_map_lookup_elem(map_fd, &zero, &hits);
	}
	uprobe_links__close(&links);
	proc_maps__free(&maps);
	if (prog_fd >= 0)
		close(prog_fd);
	if (map_fd >= 0)
		close(map_fd);
	return !err && hits == 1;
}

int calibrate__probes(bool multi, bool placing, struct tracer_cost *out)
{
	int prog_fd = uprobe__empty_program(multi);
	struct uprobe_target self = { .path = "/proc/self/exe", .pid = getpid(), .multi = multi };
	struct proc_maps maps;
	int err;

	memset(out, 0, sizeof(*out));
	if (prog_fd < 0)
		return prog_fd;
	err = procfs__maps(getpid(), &maps);
	if (err)
		goto out;
	err = measure(&self, &maps, prog_fd, pyleak_probe_emulated, false, &out->emulated_ns);
	err = err ?: measure(&self, &maps, prog_fd, pyleak_probe_emulated, true, &out->returned_ns);
	err = err ?: measure(&self, &maps, prog_fd, pyleak_probe_stepped, false, &out->single_step_ns);
	if (!err && placing && measure_placing(&self, &maps, prog_fd, &out->place_ns))
		out->place_ns = PLACE_HITS * out->emulated_ns;
	proc_maps__free(&maps);
	if (err)
		memset(out, 0, sizeof(*out));
out:
	close(prog_fd);
	return err;
}
