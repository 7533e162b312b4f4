// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "elf_file.h"
#include "gc_probe.h"
#include "place.h"
#include "python.h"

/* struct pt_regs of x86-64 as in vmlinux.h */
static const struct {
	const char *name;
	uint32_t off;
} regs[] = {
	{ "r15", 0 },  { "r14", 8 },  { "r13", 16 }, { "r12", 24 }, { "rbp", 32 },  { "ebp", 32 },  { "rbx", 40 }, { "ebx", 40 },
	{ "r11", 48 }, { "r10", 56 }, { "r9", 64 },  { "r8", 72 },  { "rax", 80 },  { "eax", 80 },  { "rcx", 88 }, { "ecx", 88 },
	{ "rdx", 96 }, { "edx", 96 }, { "rsi", 104 }, { "esi", 104 }, { "rdi", 112 }, { "edi", 112 }, { "rsp", 152 }, { "esp", 152 },
};

static int parse_reg(const char *name, size_t len, uint32_t *off)
{
	if (len > 2 && name[0] == 'r' && name[len - 1] == 'd')
		len--; /* r12d */
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		if (strlen(regs[i].name) == len && !memcmp(regs[i].name, name, len)) {
			*off = regs[i].off;
			return 0;
		}
	return -EINVAL;
}

int pt_regs__offset(const char *name, uint32_t *off)
{
	return parse_reg(name, strlen(name), off);
}

int gc_probe__parse_arg(const char *arg, struct gc_probe *out)
{
	int size, disp = 0, n = 0;
	char reg[8];

	if (sscanf(arg, "%d@%%%7[a-z0-9]%n", &size, reg, &n) == 2) {
		out->is_memory = false;
	} else if (sscanf(arg, "%d@%d(%%%7[a-z0-9])", &size, &disp, reg) == 3 ||
		   sscanf(arg, "%d@(%%%7[a-z0-9])", &size, reg) == 2) {
		out->is_memory = true;
	} else {
		return -EINVAL;
	}
	if (size != -4 && size != 4)
		return -EINVAL;
	out->disp = disp;
	return parse_reg(reg, strlen(reg), &out->reg_off);
}

static int find_usdt(const struct elf_file *elf, struct gc_probe *out)
{
	struct usdt_note start, done;
	int err;

	err = elf_file__usdt(elf, "python", "gc__start", &start) ?: elf_file__usdt(elf, "python", "gc__done", &done);
	err = err ?: gc_probe__parse_arg(start.args, out);
	err = err ?: elf_file__addr_to_off(elf, start.addr, &out->start_off);
	err = err ?: elf_file__addr_to_off(elf, done.addr, &out->done_off);
	if (!err && start.semaphore_addr)
		err = elf_file__addr_to_off(elf, start.semaphore_addr, &out->start_sem_off);
	if (!err && done.semaphore_addr)
		err = elf_file__addr_to_off(elf, done.semaphore_addr, &out->done_sem_off);
	return err;
}

/* 2.7: collect(int generation) */
static void find_first_argument(const struct py_interp *py, struct gc_probe *out)
{
	struct elf_sym sym;

	if (elf_file__symbol(py->elf, "collect", &sym) || elf_file__addr_to_off(py->elf, sym.addr, &out->start_off))
		return;
	out->done_off = out->start_off;
	out->first_argument = !pt_regs__offset("edi", &out->reg_off);
	out->kind = GC_PROBE_FUNCTION;
}

void gc_probe__find(const struct py_interp *py, struct gc_probe *out)
{
	/*
	 * Modules/gcmodule.c, since 3.13 Python/gc.c: (state or tstate, int generation, ...). 3.6 and 3.7 have copies of it for constant
	 * arguments, in other registers.
	 */
	const char *name = py->major == 3 && py->minor >= 10 ? "gc_collect_main" : "collect";
	const bool copies = py->major == 3 && py->minor <= 7;
	struct elf_sym sym;
	struct place place;
	const void *code;

	memset(out, 0, sizeof(*out));
	if (py->major < 3) {
		find_first_argument(py, out);
		return;
	}
	if (!copies && !elf_file__symbol(py->elf, name, &sym) && sym.size >= 64) {
		code = elf_file__bytes(py->elf, sym.addr, 64);
		if (code && !place__entry(code, 64, sym.addr, 1, &place) && place.arg_regs[0] == ARG_SI &&
		    !elf_file__addr_to_off(py->elf, place.addr, &out->start_off)) {
			out->done_off = out->start_off;
			out->kind = GC_PROBE_FUNCTION;
			return;
		}
	}
	if (!find_usdt(py->elf, out))
		out->kind = GC_PROBE_USDT;
}
