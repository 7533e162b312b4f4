/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where collections start and end: the collector's function by its symbol, else the USDT points gc__start and gc__done. */
#ifndef GC_PROBE_H
#define GC_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct py_interp;

enum gc_probe_kind { GC_PROBE_NONE, GC_PROBE_FUNCTION, GC_PROBE_USDT };

struct gc_probe {
	enum gc_probe_kind kind;
	uint64_t start_off, done_off;         /* file offsets; a function: both its entry */
	uint64_t start_sem_off, done_sem_off; /* USDT semaphores, file offsets */
	bool first_argument; /* a function whose first argument is the generation: then what follows says so, too */
	/* USDT: where the generation is, as struct tracer_config wants it */
	uint32_t reg_off;
	int32_t disp;
	bool is_memory;
};

/* Offset of a register in struct pt_regs by any of its names ("rax", "eax", "r12d"). 0 or -EINVAL. */
int pt_regs__offset(const char *name, uint32_t *off);

void gc_probe__find(const struct py_interp *py, struct gc_probe *out);
/* "-4@112(%rsp)", "-4@%ebx": pure, for tests. 0 or -EINVAL. */
int gc_probe__parse_arg(const char *arg, struct gc_probe *out);

#endif
