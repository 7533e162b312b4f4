// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <string.h>
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

int calibrate__probes(bool multi, struct tracer_cost *out)
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
	proc_maps__free(&maps);
	if (err)
		memset(out, 0, sizeof(*out));
out:
	close(prog_fd);
	return err;
}
