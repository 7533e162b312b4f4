/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the blocks hold that a burst has recorded; of use to gate.c only. */
#ifndef GATE_WITNESS_H
#define GATE_WITNESS_H

#include "gate.h"

/* Of pymalloc's blocks recorded since SINCE_NS (CLOCK_MONOTONIC) and not seen to end, at most MAX. Returns how many could be read. */
size_t gate_witness__read(const struct engine *e, uint32_t slot, pid_t pid, uint64_t since_ns, struct gate_witness *out, size_t max);

#endif
