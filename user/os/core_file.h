/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process as an ELF core has it (x86-64; the kernel's, fs/binfmt_elf.c, and those of gdb's gcore): its memory, mappings and what /proc would tell.
 * Everything in it is hostile: it is checked, and what makes no sense or is cut off is not there.
 *
 * Cores leave out what is in files: text, constants. That is read from the file of the same path here, if it is an ELF file whose first page says that it
 * is the same (build_id.h). What the process may have written is never taken from a file.
 *
 * The core is read by pread(), not mapped: one that is cut, or on a disk that fails, while it is read is an error then, not a signal.
 */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemap.h"
#include "procfs.h"
#include "remote.h"

struct core_file; /* opaque; for one thread at a time */

/* 0; -ENOEXEC (no such core), -ENOMEM, or why it could not be opened. WHY then gets a sentence that goes on behind the core's name. */
int core_file__open(const char *path, struct core_file **out, char *why, size_t why_size);
void core_file__close(struct core_file *core);

/* As long as the core is open. Beside what remote.h says it may fail with -EIO. */
struct remote core_file__remote(struct core_file *core);

/* As of procfs.h, where the core tells it; numbers that it has not are 0. Memory is pages that are in the core
 * and in no hole of its file; in a file without holes, that are not all zeros. */
int core_file__maps(const struct core_file *core, struct proc_maps *out);
void core_file__status(const struct core_file *core, struct proc_status *out);
void core_file__memory(const struct core_file *core, struct proc_memory *out);
/* 0: the core does not say. */
pid_t core_file__pid(const struct core_file *core);
/* -ENOENT: the core does not tell what was mapped. */
int core_file__exe(const struct core_file *core, char *out, size_t out_size);
/* A path to open that file by from here. -ENOENT: it is not here; -ESTALE: it is another one; -ENOEXEC: no ELF file; or another error of open(). */
int core_file__open_path(struct core_file *core, const struct proc_map *map, char *out, size_t out_size);

/* The same pages, by address. Good as long as the core is open. */
size_t core_file__pages(const struct core_file *core, const struct page_range **out);

/* What of the process is not in the core nor here, as far as anything has looked for it; false, and nothing in OUT: nothing is known to be missing. */
bool core_file__gap(const struct core_file *core, char *out, size_t out_size);

#endif
