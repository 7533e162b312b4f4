/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What probes cost on this machine, measured on ourselves. */
#ifndef CALIBRATE_H
#define CALIBRATE_H

#include <stdbool.h>

struct tracer_cost;

/* PROG_FD does nothing. Takes a few milliseconds. -errno when we cannot probe ourselves. */
int calibrate__probes(int prog_fd, bool multi, struct tracer_cost *out);

#endif
