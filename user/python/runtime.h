/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From _PyRuntime to the main interpreter, its threads, its GIL and its collector. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "python.h"
#include "reason.h"

/*
 * Fills runtime_addr, interp_addr, the *_addr derived from them, and subinterpreters. Module, version and layout must be
 * known. To 3.6 the state is in variables of their own: Python/pystate.c, Modules/gcmodule.c. What is read must make sense (back pointers, ids, the thread's own pointer), else the layout is not this build's
 * and the answer is -EOPNOTSUPP. -EAGAIN: too early in the start of the interpreter.
 */
int runtime__find(struct py_interp *py, const struct reason *why);

/* 3.13+: compares the layout with what _PyRuntime.debug_offsets says, and takes from it what patch versions have moved. */
int debug_offsets__check(struct py_interp *py, const struct reason *why);

#endif
