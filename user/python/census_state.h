/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What census.c answers from, and who fills it: census_count.c objects and what they own, census_libc.c and census_links.c what is not in pools,
 * census_arenas.c why pools are kept.
 */
#ifndef CENSUS_STATE_H
#define CENSUS_STATE_H

#include "census.h"
#include "heap_state.h"
#include "map.h"
#include "object.h"
#include "procfs.h"

enum {
	CENSUS_LOOK_BYTES = 112, /* of an object, from its PyObject header on: all fields that lead to what it owns are inside */
	CENSUS_BUFFERS_CNT = 1024,
};

/* By tag. */
struct census_type {
	bool known; /* what follows was asked */
	struct py_owner owner;
	int64_t basicsize, itemsize;
	int64_t objects, tracked, bytes, buffer_bytes, largest, uncollectable;
	int64_t keeping; /* of these, in sparse arenas */
};

/* A buffer that is in no pool: its size is in front of it. */
struct census_buffer {
	uint64_t addr;
	int64_t times, owner_bytes;
	uint32_t tag;
	bool values, hooked;
};

struct census_range {
	uint64_t start, end;
};

struct census {
	const struct py_interp *py;
	struct census_options options;
	struct heap *heap;
	struct census_type *types; /* [tag] */
	uint32_t type_capacity;
	struct census_row *rows;
	size_t row_cnt;
	struct census_stats stats;
	struct proc_status status; /* before the reading */
	int err;                   /* the first that ended a reading, or -ENOMEM */
	int64_t owned_blocks, owned_block_bytes; /* in pools */
	struct census_buffer buffers[CENSUS_BUFFERS_CNT];
	size_t buffer_cnt;
	uint64_t libc_used_bytes, libc_present_bytes; /* of RUNS: chunks in use; pages that exist */
	uint64_t mapped_bytes;                        /* of chunks that are mappings, in pages that exist */
	struct census_range *heaps; /* of glibc, as they were before the reading: brk's, and those of threads' arenas; by address */
	size_t heap_cnt, heap_capacity;
	const struct libc_walk *walk; /* while it walks, else NULL */
	/* Runs of the C library's heap that are walked; objects in them that the collector knows, by address. */
	struct census_range *runs;
	size_t run_cnt, run_capacity;
	struct census_range *mapped; /* chunks that are mappings, neighbours as one */
	size_t mapped_cnt, mapped_capacity;
	uint64_t *found;
	size_t found_cnt, found_capacity;
	bool found_unsorted;
	uint64_t *links; /* to GC heads outside of pools and runs */
	size_t link_cnt, link_capacity;
	uint64_t linked_cnt; /* objects that only their links led to */
	struct map linked; /* address of an object found by links -> nothing */
	uint64_t int_type; /* 2.7 */
	int64_t keeping_buffers;
	char *keepers[CENSUS_KEEPERS]; /* names, owned */
};

/* One live object: WORDS are AVAILABLE bytes from its header on, 8 more than gc_head_bytes in front of them are there, too. */
struct census_object {
	uint64_t addr; /* of the header */
	const unsigned char *header;
	uint32_t available;
	uint32_t tag;
	uint64_t bytes; /* of its block */
	bool hooked;
};

/* census_count.c */
/* NULL: out of memory, c->err is set. */
struct census_type *census__type(struct census *c, uint32_t tag);
void census__count(struct census *c, const struct census_object *o);
void census__see_block(void *census, const struct heap_seen *seen);
void census__flush_buffers(struct census *c);
/* TOTAL += N, as far as that goes. */
void census__add(int64_t *total, int64_t n);
/* Of an object that begins behind HEADER: where its collector's links lead; 0: the collector does not track it. */
uint64_t census__gc_next(const struct py_interp *py, const unsigned char *header);

/* census_libc.c */
/* Is the C library's heap glibc's, and where are its parts? 0 or -errno. */
int census__find_libc(struct census *c);
bool census__in_heap(const struct census *c, uint64_t addr);
/* Objects in that heap, and then those that only links lead to. 0 or -errno. */
int census__read_large(struct census *c);

/* census_links.c */
/* A collector's link from the object at FROM, kept if it leads out of all that is known. */
void census__link(struct census *c, uint64_t gc_head, uint64_t from);
/* An object that the collector may know was found in the C library's heap: best in order of addresses. */
void census__note_found(struct census *c, uint64_t object);
/* Objects along the collector's lists that are in no pool and were not found in the C library's heap. 0 or -errno. */
int census__follow_links(struct census *c);
/* Is so much in memory that is neither's, that there must be another allocator? */
bool census__has_strangers(const struct census *c);

/* census_arenas.c: which arenas are sparse, and what lives in them. */
void census__read_arenas(struct census *c);
void census__free_keepers(struct census *c);

/* census.c */
/* gc.garbage; false: not known what is in it. */
bool census__read_garbage(struct census *c);

#endif
