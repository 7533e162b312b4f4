/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The heap of a running interpreter: every live pymalloc block with the type of its object, read from outside (process_vm_readv) while
 * the process runs on. Needs no symbols: arenas are private anonymous memory, and a pool (pool.h) proves itself. Only pages that exist
 * are read, none that is swapped out.
 *
 * What is larger than 512 bytes, and what is allocated in the raw domain, comes from libc and is not here. Nor is anything with another
 * allocator (PYTHONMALLOC=malloc, mimalloc). With debug hooks (PYTHONMALLOC=debug, debug builds) objects are found 16 bytes further on,
 * block by block, as the hooks mark what they give out. 2.7 keeps ints and floats in memory from malloc. All interpreters of the process
 * are in one heap. The target pays nothing but for the lock of its mappings, held while some pages are copied.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct py_interp;
/*
 * Opaque; remembers from one reading to the next. For one thread at a time. Takes one byte per block that has room in a pool (4 in pools
 * with more than 255 different types and ages), and some 40 bytes per pool: 30 to 50 MiB per GiB.
 */
struct heap;

struct heap_options {
	uint64_t max_bytes; /* of pools to be read in one reading; 0: HEAP_MAX_BYTES */
	double sample;      /* read this fraction of them only (heap_sample.h): all below then tells of those. 0: all */
	uint64_t seed;      /* of the sample */
};
#define HEAP_MAX_BYTES (32ULL << 30)

/* PY must outlive it. NULL: out of memory. */
struct heap *heap__new(const struct py_interp *py);
void heap__free(struct heap *h);
void heap__set_options(struct heap *h, const struct heap_options *options);

/*
 * One reading of the whole heap. 0, or:
 *  -ENODATA no pool is in use: another allocator is
 *  -ESRCH, -EPERM the process ended, or is not ours to read. What had been read by then is up to date, the rest as in the reading
 *      before; all functions below still answer
 *  -ENOMEM, -EAGAIN (in the middle of exec) and other errors of /proc
 */
int heap__read(struct heap *h);

/* All below: of the last reading. */

struct heap_block {
	uint64_t addr;
	uint64_t type; /* address of the object's type; 0: no object. A buffer, or an object that waits in a free list */
	uint32_t bytes; /* of the block, that is of its size class */
	uint32_t since; /* number (1..) of the first reading in which it was live with this type, without interruption up to now. After
			   65,535 readings, and again after half as many, pairs of readings become one: the later */
};
/* The live block that begins at ADDR (of the block: a GC head or pre-header is inside). */
bool heap__find(const struct heap *h, uint64_t addr, struct heap_block *out);

/* The live block that ADDR is in, as that of an object is behind its heads. */
bool heap__at(const struct heap *h, uint64_t addr, struct heap_block *out);

/*
 * The block at ADDR was seen to be allocated anew since the last reading: what is there at the next one is not older than that. To
 * tell from outside is impossible when size and type are the same. No such block at the last reading: nothing to do.
 */
void heap__touch(struct heap *h, uint64_t addr);

struct heap_iter {
	size_t pool;
	uint32_t block;
};
/* All live blocks in order of addresses: for (struct heap_iter it = { 0 }; heap__next(h, &it, &block);) */
bool heap__next(const struct heap *h, struct heap_iter *it, struct heap_block *out);

struct heap_kind {
	uint64_t type;       /* 0: memory that is no object */
	uint32_t bytes_each; /* TYPE 0: of each block; else 0, as instances of one type may differ in size */
	int64_t live, live_bytes;
	int64_t old;   /* of these: there since the first reading (all, in the first) */
	int64_t fresh; /* first seen in this one */
};
/* One per type and, of what is no object, one per block size; only those with live blocks. Good until the next reading. */
size_t heap__kinds(const struct heap *h, const struct heap_kind **out);

struct heap_stats {
	uint64_t readings;      /* so far */
	uint64_t pools;         /* with live blocks */
	uint64_t pools_bytes;
	uint64_t carved_bytes;  /* of these, in pages that were used: the end of a pool may be untouched */
	uint64_t pool_bytes;    /* of each */
	uint64_t empty_pools;   /* were used, wait for use in another size */
	uint64_t live;          /* blocks: sys.getallocatedblocks() of a process that does nothing */
	uint64_t live_bytes;
	uint64_t retried;       /* copies of pools that were made again, as their header and free list did not agree */
	uint64_t torn;          /* pools whose header and free list never agreed: some of their blocks may be wrong */
	uint64_t found_pools;   /* with live blocks as their headers say, those that the sample leaves out, too */
	uint64_t found_live_bytes;
	uint64_t skipped_bytes; /* not looked at: swapped out, or of a region out of all proportion */
	uint64_t cpu_ns;        /* what the reading cost us */
	bool partial;           /* something was left out: SKIPPED_BYTES, MAX_BYTES reached, too many things that look like types, or an error */
};
void heap__stats(const struct heap *h, struct heap_stats *out);

#endif
