/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What core_file.c answers from; core_segments.c fills it, core_read.c reads by it. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "core_file.h"
#include "core_notes.h"

enum { CORE_PAGE_BYTES = 4096 };

/* [START, END) of the process, whole pages. */
struct core_segment {
	uint64_t start, end;
	uint64_t off;        /* of what the core holds of it */
	uint64_t held_bytes; /* from START on, that are in the core; whole pages */
	uint64_t cut_bytes;  /* behind those, that should be but are not */
	uint64_t file_off;   /* of START, in LIB */
	uint32_t lib;        /* index + 1; 0: no file's */
	bool r, w, x, stack;
};

enum core_lib_state { LIB_UNSEEN, LIB_SAME, LIB_MISSING, LIB_OTHER, LIB_NO_ELF };

/* A file that was mapped. */
struct core_lib {
	const char *path;
	bool deleted;
	enum core_lib_state state;
	int err; /* LIB_MISSING: why */
	int fd;  /* LIB_SAME */
	uint64_t size;
	uint32_t first_segment; /* where its offset 0 is; UINT32_MAX: nowhere */
};

struct core_file {
	int fd;
	uint64_t size;
	struct core_notes notes;
	struct core_segment *segments; /* by address, none overlaps another */
	size_t segment_cnt;
	struct core_lib *libs;
	size_t lib_cnt;
	struct page_range *pages;
	size_t page_cnt, page_capacity;
	struct proc_memory memory;
	uint64_t cut_bytes;  /* of writable memory: should be in the core, but its file ends before, or it is damaged there */
	uint64_t left_bytes; /* of writable memory: was not written */
	bool cut;            /* anything at all is cut off */
	uint64_t heap_start; /* of the segment that grows by brk; 0: none */
};

/* core_segments.c: reads headers and notes. 0, -EIO, -ENOMEM, or -ENOEXEC with WHY. */
int core_segments__read(struct core_file *core, char *why, size_t why_size);
/* Which pages are there. 0, -EIO, -ENOMEM. */
int core_segments__find_pages(struct core_file *core);
const struct core_segment *core_segments__at(const struct core_file *core, uint64_t addr);

/* core_read.c */
int core_read__memory(struct core_file *core, uint64_t addr, void *out, size_t size);
/* Opens the file of LIB and compares it, once. */
void core_read__look_at_lib(struct core_file *core, struct core_lib *lib);

#endif
