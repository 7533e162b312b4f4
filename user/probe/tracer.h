/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tracing processes: tracers is all of them and the engines they share, one per interpreter binary; tracer is one process. Phases:
 * open (finds or loads an engine) -> attach (probes, then tables, then count) -> consume / collect ... -> detach -> free.
 */
#ifndef TRACER_H
#define TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calibrate.h"
#include "engine.h"
#include "gate.h"

struct py_interp;
struct tracer;  /* opaque */
struct tracers; /* opaque */

struct tracers *tracers__new(const struct tracer_opts *opts); /* NULL: out of memory */
/* After all of its tracers are freed. */
void tracers__free(struct tracers *all);
/* Ready when an event waits. */
int tracers__epoll_fd(const struct tracers *all);
/* Hands out what came, OWNER being that of tracer__set_owner(); does not wait. */
int tracers__consume(struct tracers *all, const struct tracer_events *handlers);
size_t tracers__engines(const struct tracers *all, struct engine *const **out);
const struct tracer_cost *tracers__cost(struct tracers *all);
/* Before many are detached: what was written into their memory is put back, which takes long one by one. */
void tracers__restore(struct tracers *all);
/* Removes the probes of all; what has been counted stays. */
void tracers__detach(struct tracers *all);

/*
 * Loading programs takes long; events of other processes must not wait for it. true: tracer__open() for this process will be
 * quick, or fail quickly. false: begun in the background, or another one is; ask again.
 */
bool tracers__prepare(struct tracers *all, pid_t pid);

/* PY is borrowed. -errno, with one sentence in WHY. */
int tracer__open(struct tracers *all, const struct py_interp *py, struct tracer **out, char *why, size_t why_size);
/* A child of PARENT's process, as its engine told it; it is traced already. Given up where *OUT stays NULL. */
int tracer__open_child(struct tracers *all, const struct tracer *parent, const struct fork_event *ev, const struct py_interp *py,
		       struct tracer **out);
/* Do the programs know it by another pid than we? Then the pids of events mean nothing here. */
bool tracer__is_foreign(const struct tracer *t);
int tracer__attach(struct tracer *t, char *why, size_t why_size);
void tracer__detach(struct tracer *t);
void tracer__free(struct tracer *t);
void tracer__set_owner(struct tracer *t, void *owner);

/* After the runtime came up under `run`: what py_interp__open could not know before. */
void tracer__set_runtime(struct tracer *t, const struct py_interp *py);
/*
 * OTHER_GILS: how many interpreters with a GIL of their own there are now. The programs notice themselves that one is made, where they see
 * it; this is for what was there before, for what they missed (then there is a gap), and for what turns out to share the GIL.
 */
void tracer__look_at_gils(struct tracer *t, int other_gils);

/* Sees to it that what was set up still is. */
void tracer__hold(const struct tracer *t);

/*
 * Looks whether other functions stand in the allocator tables than those probed, and probes those. STOPPED: the programs said so, and
 * have stopped the process if that was asked for. What may have been missed is said by tracer__gap; NULL: nothing.
 */
void tracer__follow_tables(struct tracer *t, bool stopped);
const char *tracer__gap(const struct tracer *t);

/* Its interpreter tears down while we read it: not so where the programs stop it for that (stop_at_finalize). */
bool tracer__is_tearing_down(const struct tracer *t);

/* What stands in its tables. */
const struct allocators *tracer__allocators(const struct tracer *t);
struct engine *tracer__engine(const struct tracer *t);
uint32_t tracer__slot(const struct tracer *t);
/* Lives in memory shared with the programs: each field is read while it changes. */
const struct proc_state *tracer__state(const struct tracer *t);
/* Where the collector cannot be probed, its count of full collections is read now and then instead. */
void tracer__set_gc_epoch(struct tracer *t, uint32_t full_collections);
/* How many code objects were freed at this address; -ENOENT when it is not watched. */
int tracer__code_gen(const struct tracer *t, uint64_t code, uint32_t *gen);
/* Budget mode; else NULL, and where it could not be opened for the functions that replaced others. */
struct gate *tracer__gate(const struct tracer *t);

#endif
