/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What probes cost on this machine, measured on ourselves. */
#ifndef CALIBRATE_H
#define CALIBRATE_H

#include <stdbool.h>

struct tracer_cost {
	double emulated_ns;     /* one probe on an instruction that the kernel emulates, with a program that does nothing */
	double returned_ns;     /* the same with a return probe */
	double single_step_ns;  /* one probe on an instruction that is single-stepped */
	double place_ns;        /* CPU time that placing and removing one takes from a thread that runs meanwhile: interrupts, translations lost; 0: not asked for */
};

/*
 * Does a multi-uprobe link on a process see all of its threads? From 6.6 until commit 46ba0e49b642 (6.10, and later 6.6.y) it saw the
 * first one only. Tried on a thread of ours.
 */
bool calibrate__multi_sees_threads(void);

/*
 * PLACING: what that costs, too, with another thread that runs meanwhile. Takes two tenths of a second or so. -errno when we cannot probe ourselves: then
 * all of OUT is 0.
 */
int calibrate__probes(bool multi, bool placing, struct tracer_cost *out);

#endif
