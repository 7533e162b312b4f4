/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A CPython interpreter inside a process: which it is, where its runtime is, how its structures are laid out.
 * Reads only. What cannot be known is an error with a sentence, never a guess.
 */
#ifndef PYTHON_H_
#define PYTHON_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "elf_file.h"
#include "process.h"
#include "remote.h"
#include "walk_layout.h"

#define PY_VERSIONS_SUPPORTED "2.7, 3.6-3.14"

struct py_layout; /* layout.h: every offset of one version */

/* Addresses of types that the interpreter exports. */
struct py_types {
	uint64_t type, code, str, bytes, function, dict, list, tuple, set, frozenset, bytearray, float_, frame;
};

/* Does the layout lead to the right names? */
enum names_verdict {
	NAMES_UNCHECKED, /* too early to tell: the modules that tell are not there */
	NAMES_TRUE,
	NAMES_FALSE,
};
struct py_names {
	enum names_verdict types, codes; /* codes: of files and functions, and lines */
	char doubt[160];                 /* what contradicts the layout, where something does */
	int asked;                       /* how often */
};

struct py_interp {
	pid_t pid;
	struct process proc;
	struct remote mem;         /* of PROC */
	int major, minor, patch;   /* 3.11.2 -> 3, 11, 2 */
	char version[32];          /* "3.11.2", with "rc1" and the like when so */
	bool shared;               /* the interpreter is a libpython, not the executable */
	bool debug;                /* Py_DEBUG */
	bool free_threaded, trace_refs; /* Py_GIL_DISABLED, Py_TRACE_REFS builds: refused for now, by name */
	char module_path[4096];    /* the file with the interpreter, as the process sees it */
	char open_path[4096];      /* the same to be opened from here */
	uint64_t bias;             /* runtime address = file address + bias */
	struct elf_file *elf;      /* owned */
	const struct py_layout *layout; /* static */

	uint32_t gc_head_bytes;    /* sizeof(PyGC_Head): the layout's, or what 3.6 has grown to (bpo-27987) */

	uint64_t runtime_addr;     /* _PyRuntime; 0 before 3.7 */
	uint64_t interp_head_addr; /* word that holds the newest PyInterpreterState */
	uint64_t interp_addr;      /* the main PyInterpreterState */
	/*
	 * Address of a word that holds the PyThreadState* which has (or last had) the GIL:
	 * 2.7 and 3.6 _PyThreadState_Current; 3.7-3.11 _PyRuntime.gilstate.tstate_current; 3.12+ interp->ceval.gil->last_holder. Its thread_id must still be
	 * compared with the running thread's FS base.
	 */
	uint64_t tstate_slot_addr;
	uint64_t threads_head_addr; /* word that holds the first PyThreadState of the main interpreter */
	uint64_t finalizing_addr;   /* word that is not 0 once Py_FinalizeEx tears down (_PyRuntime._finalizing; 2.7: int that is 0 then);
				       0: unknown */
	uint64_t gil_ptr_addr, gil_holder_off; /* 3.12+: interp->ceval.gil and the offset of last_holder in what it points to; 0 before */
	uint64_t gc_stats_addr;     /* struct gc_generation_stats[3] = {ssize_t collections, collected, uncollectable}; 0: unknown */
	uint64_t gc_lists[4];       /* heads of the lists of what the collector tracks (PyGC_Head), the main interpreter's; 0: none */
	uint64_t gc_garbage_addr;   /* word that holds gc.garbage; 0: unknown (before 3.7) */
	int64_t tls_off;            /* 3.12+: a thread's word with its current PyThreadState, from its FS base on; 0: not known */
	uint64_t interp_bytes_min, interp_bytes_max; /* 3.12+: of what calloc() is asked for when an interpreter is made: from, and below; 0 before */
	int subinterpreters;        /* beyond the main one */
	int other_gils;             /* those of them that have a GIL of their own (3.12+) */
	struct py_types types;
	uint64_t set_dummy_addr; /* _PySet_Dummy: a deleted place in a set's table */
	struct py_names names;
	uint64_t module_start, module_end; /* where the interpreter's file is mapped, .bss included */
};

/*
 * Finds the interpreter in a live process. 0, or:
 *  -ESRCH  no such process, or it ended meanwhile
 *  -EPERM  not ours to read
 *  -ENOEXEC it is no CPython (PyPy and others are named in WHY)
 *  -EOPNOTSUPP CPython, but of a version or build that is not supported (named in WHY)
 *  -EAGAIN CPython is mapped but not initialised yet (just exec'd)
 * WHY gets one sentence in each of these cases.
 */
int py_interp__open(struct py_interp *py, pid_t pid, char *why, size_t why_size);
/* The same for one that lives or is in a core: then -EIO, too. What PROC points to must outlive PY. */
int py_interp__open_in(struct py_interp *py, const struct process *proc, char *why, size_t why_size);
/* The same for one that has not started yet: what only a running interpreter has (interp_addr, threads, gc) may be missing. */
int py_interp__open_early(struct py_interp *py, pid_t pid, char *why, size_t why_size);
void py_interp__close(struct py_interp *py);
/*
 * Asks the witnesses (witness.h) if what they were asked before, py_interp__open() included, gave no answer yet. True: an answer to
 * both questions is there. Names that are false are not read by anything here; those that are unchecked are, but must not be shown.
 */
bool py_interp__check_names(struct py_interp *py);

/* Counts sub-interpreters anew: programs make them at any time. */
void py_interp__count(struct py_interp *py);
/* How many have a GIL of their own. */
int py_interp__other_gils(const struct py_interp *py);

/* What the BPF side needs to walk frames and to recognise objects. */
void py_interp__walk_layout(const struct py_interp *py, struct walk_layout *out);

/* Where the interpreter keeps dead objects to hand them out again; byte offsets from PyInterpreterState. */
struct py_freelists {
	bool known;
	uint32_t dict_cnt, dicts, keys_cnt, keys, list_cnt, lists; /* array and its count */
	bool chains;                               /* 3.14: dicts, keys and lists are chains, too */
	uint32_t tuples, tuples_step;              /* heads of chains, one per length from 1 on */
	uint32_t floats, ints;                     /* heads of chains; ints: 3.14, else 0 */
};
/* Not KNOWN where what is found there is something else: another patch version may have moved them. */
void py_interp__freelists(const struct py_interp *py, struct py_freelists *out);

struct py_gc_stats {
	uint64_t collections[3], collected[3], uncollectable[3];
};
/* -ENOENT: this interpreter keeps none (2.7), or it is not known where (stripped 3.6). */
int py_interp__gc_stats(const struct py_interp *py, struct py_gc_stats *out);

struct py_gc_mode {
	bool collects;        /* by itself: gc.isenabled(), and the first threshold is not 0 */
	uint64_t last_frozen; /* the last that gc.freeze() has taken out of its sight: each time another one */
};
/* Of the main interpreter. -ENOENT: it is not known where (before 3.7). */
int py_interp__gc_mode(const struct py_interp *py, struct py_gc_mode *out);

#endif
