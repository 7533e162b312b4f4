/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in a function a uprobe is cheap. The kernel single-steps most instructions out of line, which costs dozens of times
 * more than those it emulates: push, jmp, jcc, call, nop (arch/x86/kernel/uprobes.c, branch_setup_xol_ops and
 * push_setup_xol_ops). Pure: bytes in, places out.
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"

enum place_cost {
	PLACE_EMULATED,
	PLACE_SINGLE_STEP,
};

/* Where an argument is at a place: a register, as struct tracer_config wants it (enum arg_reg). */
struct place {
	uint64_t addr;
	enum place_cost cost;
	uint8_t arg_regs[2]; /* of the second and the third argument: what came in rsi and rdx (place__plain_entry: rdi and rsi) */
};

/*
 * The cheapest instruction of the function at ADDR (CODE: its first SIZE bytes) that every call executes, where the
 * NARGS (1 or 2) arguments that came in rsi and rdx still are in known registers and the stack pointer still addresses the
 * return address. (The first argument of an allocator function is a context that nobody needs.) Falls back to the first
 * one that the kernel takes a probe at. -EINVAL: the bytes are no code.
 */
int place__entry(const void *code, size_t size, uint64_t addr, int nargs, struct place *out);

/* The same for a function without a context: what came in rdi and rsi. */
int place__plain_entry(const void *code, size_t size, uint64_t addr, int nargs, struct place *out);

/* The kernel would emulate the instruction at CODE rather than single-step it. */
bool place__is_emulated(const void *code, size_t size);

/*
 * How many places in the text compare something with FN's address before a branch: the guards of an optimised
 * indirect call whose body was inlined.
 */
size_t place__guards(const void *text, size_t size, uint64_t addr, uint64_t fn);

/* The function that execution at ADDR arrives at without doing anything: through a jmp, or nops. ADDR itself if neither. */
uint64_t place__arrives_at(const void *text, size_t size, uint64_t text_addr, uint64_t addr);

/*
 * An address other than FN at which execution is the same as at FN: a jmp to it (cheap to probe) or the padding nop that
 * falls into it. The nearest to FN wins. -ENOENT.
 */
int place__alias(const void *text, size_t size, uint64_t addr, uint64_t fn, struct place *out);

/*
 * For a function that does no more than hand its second argument on ("mov %rsi,%rdi; jmp elsewhere", CPython's _PyMem_RawFree): where
 * it jumps to. Copies of it that were inlined arrive there, too. -ENOENT: it is none such.
 */
int place__tail(const void *code, size_t size, uint64_t addr, struct place *out);

/*
 * Data addresses that the first instructions of a function refer to, directly or through one pointer (a GOT entry); READ_WORD
 * fetches that pointer from the running process. Returns how many were put into OUT.
 */
typedef int (*place_read_word)(void *ctx, uint64_t addr, uint64_t *value);
size_t place__data_refs(const void *code, size_t size, uint64_t addr, place_read_word read_word, void *ctx, uint64_t *out,
			size_t max);

#endif
