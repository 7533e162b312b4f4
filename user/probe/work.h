/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much of its own work a process did in a burst: pure. CPU time in nanoseconds, tracing not included. Where tracing is most of what a process does,
 * the difference of two large numbers is no measure of the rest.
 */
#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>

struct work {
	double hit_ns; /* in, fixed: one hit of a program that does nothing */
	/* state: all 0 at first */
	double tail_own_ns, tail_frees;      /* sums: one tail alone says little */
	double piece_allocs, piece_waits;    /* sums over bursts that saw several pieces of work; the older count less */
	double unseen_ns, unseen_waits;      /* sums between bursts; likewise */
	size_t bursts;                       /* before which there was one */
};

struct work_burst {
	double cpu_ns;       /* of the process in it, tracing included */
	double cost_ns;      /* what tracing is charged for it */
	double allocs;
	bool mostly_waits;   /* the process; then: */
	double waits;        /* how often it waited in the burst; < 0: not known */
	double unseen_ns;    /* its own work since the burst before; 0: there was none */
	double unseen_waits; /* how often it waited meanwhile; < 0: not known */
};

/* A tail, in which a smaller part is tracing: the process's own time between its events, and its frees. */
void work__tail(struct work *w, double own_ns, double frees);
/* What one event and what the program does with it take, at least. */
double work__event_ns(const struct work *w);
/* Own work in this burst; remembers what it shows. */
double work__own_ns(struct work *w, const struct work_burst *b);

#endif
