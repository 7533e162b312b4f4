/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What probes cost on this machine, measured on ourselves. */
#ifndef CALIBRATE_H
#define CALIBRATE_H

#include <stdbool.h>

struct tracer_cost;

/* Takes a tenth of a second or so. -errno when we cannot probe ourselves: then all of OUT is 0. */
int calibrate__probes(bool multi, struct tracer_cost *out);

#endif
