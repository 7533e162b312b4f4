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

/* What is counted of a type. */
struct census_part {
	int64_t objects, tracked, bytes, buffer_bytes;
};

/* By tag. */
struct census_type {
	bool known; /* what follows was asked */
	struct py_owner owner;
	int64_t basicsize, itemsize;
	int64_t objects, tracked, bytes, buffer_bytes, largest, uncollectable;
	int64_t new_objects, new_bytes, new_buffer_bytes; /* of these, see census_options */
	int64_t keeping; /* of these, in sparse arenas */
	int64_t objects_error, bytes_error, owned_error; /* half-widths of 95 % intervals */
	struct census_part before; /* the cluster in which it is TOUCHED */
	bool touched;
};

/* An object that is in no pool: 16 bytes each. */
struct census_known {
	uint64_t addr;
	uint32_t type;  /* a hash of which it is */
	uint32_t since; /* number of the first reading that found it */
};

struct census_known_list {
	struct census_known *list; /* by address; owned */
	size_t cnt, capacity;
};

struct census_since {
	struct census_known_list before, now; /* of the reading before, of this one */
	size_t at;     /* in BEFORE, as long as addresses ascend */
	bool unsorted; /* NOW is not in order */
};

/* A buffer that is in no pool: its size is in front of it. */
struct census_buffer {
	uint64_t addr;
	int64_t times, owner_bytes;
	uint32_t tag;
	bool values, hooked, is_new;
};

/* Clusters that were read: pools of one block size, or stretches of the C library's heap (0). */
struct census_stratum {
	double cnt, live, live_squares;
};

struct census_sample {
	struct map sums; /* by type and stratum */
	struct census_stratum strata[HEAP_STRATA];
	uint32_t *touched; /* tags of which something is in the cluster that is read */
	size_t touched_cnt, touched_capacity;
	bool in_cluster;   /* what is counted now is of a cluster; else it is not sampled */
	uint64_t clusters_read;
	uint64_t stretch, stretch_live, stretches, stretches_live;
	bool taken; /* STRETCH */
};

struct census_range {
	uint64_t start, end;
};

struct libc_chunk;

/* Is told of each live block of the pools and each chunk of the C library's heap in use, objects (TAG) or not (TAG_BUFFER). */
struct census_observer {
	void (*block)(void *ctx, const struct heap_seen *seen);
	void (*chunk)(void *ctx, const struct libc_chunk *chunk, uint32_t tag, uint32_t object_off);
	void *ctx;
};

struct census {
	const struct py_interp *py;
	const struct census_observer *observer; /* NULL: nobody else wants to know */
	struct census_options options;
	struct census_sample sample;
	struct census_since since;
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
	uint32_t since; /* as in heap_block; 0: in no pool */
	bool is_new;    /* found by census__count() */
};

/* census_count.c */
/* NULL: out of memory, c->err is set. */
struct census_type *census__type(struct census *c, uint32_t tag);
void census__count(struct census *c, struct census_object *o);
void census__see_block(void *census, const struct heap_seen *seen);
void census__flush_buffers(struct census *c);
/* TOTAL += N, as far as that goes. */
void census__add(int64_t *total, int64_t n);
/* Of an object that begins behind HEADER: where its collector's links lead; 0: the collector does not track it. */
uint64_t census__gc_next(const struct py_interp *py, const unsigned char *header);

/* census_since.c */
void census_since__begin(struct census *c);
void census_since__free(struct census *c);
/* Number of the first reading in which the object at ADDR, in no pool, was there; to be asked once for each in a reading. Without options.remember: this one. */
uint32_t census_since__of(struct census *c, uint64_t addr, uint32_t tag);

/* census_sample.c: nothing happens there without options.sample */
void census_sample__begin(struct census *c);
void census_sample__free(struct census *c);
/* T is about to be counted. */
void census_sample__touch(struct census *c, struct census_type *t, uint32_t tag);
void census_sample__see_pool(void *census, uint32_t block_bytes, uint32_t live);
/* Is the chunk at ADDR to be looked at? In order of addresses, if there are no pools. */
bool census_sample__takes_chunk(struct census *c, uint64_t addr, uint64_t bytes);
/* As census__count(), of what a chunk holds. */
void census_sample__count(struct census *c, struct census_object *o);
void census_sample__end_stretch(struct census *c);
/* What was counted in the sample becomes estimates of all. */
void census_sample__finish(struct census *c);

/* census_libc.c */
struct libc_chunk;
void census__see_chunk(void *census, const struct libc_chunk *chunk);
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
