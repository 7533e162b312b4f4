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
#include "remote.h"
#include "walk_layout.h"

#define PY_VERSIONS_SUPPORTED "3.8-3.13"

struct py_layout; /* layout.h: every offset of one version */

/* Addresses of types that the interpreter exports. */
struct py_types {
	uint64_t type, code, str, dict, list, set, frozenset, bytearray;
};

struct py_interp {
	pid_t pid;
	struct remote mem;
	int major, minor, patch;   /* 3.11.2 -> 3, 11, 2 */
	char version[32];          /* "3.11.2", with "rc1" and the like when so */
	bool shared;               /* the interpreter is a libpython, not the executable */
	bool free_threaded, debug; /* Py_GIL_DISABLED / Py_DEBUG builds: refused for now, by name */
	char module_path[4096];    /* the file with the interpreter, as the process sees it */
	char open_path[4096];      /* the same to be opened from here */
	uint64_t bias;             /* runtime address = file address + bias */
	struct elf_file *elf;      /* owned */
	const struct py_layout *layout; /* static */

	uint64_t runtime_addr;     /* _PyRuntime */
	uint64_t interp_addr;      /* the main PyInterpreterState */
	/*
	 * Address of a word that holds the PyThreadState* which has (or last had) the GIL:
	 * 3.8-3.11 _PyRuntime.gilstate.tstate_current; 3.12+ interp->ceval.gil->last_holder. Its thread_id must still be
	 * compared with the running thread's FS base.
	 */
	uint64_t tstate_slot_addr;
	uint64_t threads_head_addr; /* word that holds the first PyThreadState of the main interpreter */
	uint64_t finalizing_addr;   /* word that is not 0 once Py_FinalizeEx tears down (_PyRuntime._finalizing); 0: unknown */
	uint64_t gil_ptr_addr, gil_holder_off; /* 3.12+: interp->ceval.gil and the offset of last_holder in what it points to; 0 before */
	uint64_t gc_stats_addr;     /* struct gc_generation_stats[3] = {ssize_t collections, collected, uncollectable} */
	int subinterpreters;        /* beyond the main one */
	struct py_types types;
	uint64_t set_dummy_addr; /* _PySet_Dummy: a deleted place in a set's table */
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
/* The same for one that has not started yet: what only a running interpreter has (interp_addr, threads, gc) may be missing. */
int py_interp__open_early(struct py_interp *py, pid_t pid, char *why, size_t why_size);
void py_interp__close(struct py_interp *py);

/* What the BPF side needs to walk frames and to recognise objects. */
void py_interp__walk_layout(const struct py_interp *py, struct walk_layout *out);

/* Where the interpreter keeps dead objects to hand them out again; byte offsets from PyInterpreterState. */
struct py_freelists {
	bool known;
	uint32_t dict_cnt, dicts, keys_cnt, keys, list_cnt, lists; /* array and its count */
	uint32_t tuples, floats;                   /* heads of chains; tuples: one per length from 1 on */
};
void py_interp__freelists(const struct py_interp *py, struct py_freelists *out);

struct py_gc_stats {
	uint64_t collections[3], collected[3], uncollectable[3];
};
int py_interp__gc_stats(const struct py_interp *py, struct py_gc_stats *out);

#endif
