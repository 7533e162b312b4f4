/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hands on what the programs of each engine tell of a process's gate (EVENT_GATE); of use to gate.c only. */
#ifndef GATE_LISTEN_H
#define GATE_LISTEN_H

#include <stdint.h>

#include "gate.h"

/* From now on WAKE_FD (an eventfd) is written whenever the gate of this process has something to look at. 0 or -errno. */
int gates__listen(struct gates *all, struct engine *e, uint32_t slot, int wake_fd);
/* It is not written any more when this returns. */
void gates__ignore(struct gates *all, const struct engine *e, uint32_t slot);

#endif
