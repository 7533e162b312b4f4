/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many blocks one stands for that was recorded at some time: pure. */
#ifndef GATE_CYCLES_H
#define GATE_CYCLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was recorded since the cycle before stands for WEIGHT times as much; 0: nothing was. */
struct gate_cycle {
	uint64_t from_ns, to_ns; /* from: of a burst that stands for a cycle of lookouts; 0: it is a lookout's */
	double weight;
};

struct gate_cycles {
	struct gate_cycle *list;
	size_t cnt, capacity;
};

/* Later than all of the others. Of very many the older half goes. 0 or -ENOMEM. */
int gate_cycles__add(struct gate_cycles *c, uint64_t to_ns, double weight);
int gate_cycles__add_burst(struct gate_cycles *c, uint64_t from_ns, uint64_t to_ns, double weight);
/* 1 if there is none. Where nothing was recorded, that of the next: times are not that exact. */
double gate_cycles__weight(const struct gate_cycles *c, uint64_t ns);
/* Is it in a cycle that stands for all that was at this time? */
bool gate_cycles__covers(const struct gate_cycles *c, uint64_t ns);
/* That of a burst that stands for its cycle; 0: it was not in one. */
double gate_cycles__burst_weight(const struct gate_cycles *c, uint64_t ns);
void gate_cycles__free(struct gate_cycles *c);

#endif
