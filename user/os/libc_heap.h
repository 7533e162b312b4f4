/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The heap of glibc's malloc in foreign memory, chunk by chunk: malloc/malloc.c (struct malloc_chunk), malloc/arena.c (struct _heap_info); the same
 * from 2.19 on on 64-bit machines, but for the size of mappings (below). Everything is checked, nothing is believed; what is no chunk ends a walk and is counted.
 *
 * Small chunks that wait in a thread's cache or in a fast bin are in use as far as their neighbours say: malloc overwrites their first 16 bytes.
 */
#ifndef LIBC_HEAP_H
#define LIBC_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote.h"

enum {
	LIBC_HEAD_BYTES = 128,
	LIBC_CHUNK_HEADER_BYTES = 16, /* of which the first 8 belong to the chunk before it while that is in use */
};
#define LIBC_ARENA_ALIGN (64ULL << 20) /* HEAP_MAX_SIZE */

struct libc_chunk {
	uint64_t addr;  /* what malloc returned */
	uint64_t bytes; /* that may be used of it */
	const void *head; /* its first bytes, up to LIBC_HEAD_BYTES; good during the call */
	uint32_t head_bytes;
	bool mapped; /* a mapping of its own */
};

struct libc_walk {
	const struct remote *mem;
	/* Is told of each chunk in use. */
	void (*see)(void *ctx, const struct libc_chunk *chunk);
	void *ctx;
	/* Results, summed over all that was walked. */
	uint64_t chunks;                 /* in use */
	uint64_t used_bytes, free_bytes; /* with their headers; free: chunks that wait, and the top */
	uint64_t lost_bytes;             /* behind what was no chunk */
	uint64_t retried;                /* copies that made no sense and were made again: the heap had changed meanwhile */
	/* internal */
	unsigned char *window; /* owned */
	uint64_t window_addr;
	uint32_t window_bytes, window_next;
};

/*
 * The mapping of a chunk with IS_MMAPPED, from its size word: whole pages, of which newer versions (seen in 2.43) leave out the header. 0: no such chunk.
 */
static inline uint64_t libc_mapping_bytes(uint64_t word)
{
	uint64_t bytes = word & ~7ULL;

	if (!(word & 2) || !bytes || (bytes % 4096 && bytes % 4096 != 4096 - LIBC_CHUNK_HEADER_BYTES) || bytes >> 47)
		return 0;
	return (bytes + 4095) & ~4095ULL;
}

/*
 * Is the block at ADDR that was asked for with *SIZE bytes still in use? By the size in front of it, and by the bit behind it that says so. Small ones that wait in a
 * cache have that bit, too. *SIZE becomes what it has grown to: a mapping of its own often does so in place.
 */
bool libc_block__is_used(const struct remote *mem, uint64_t addr, uint64_t *size);

/* 0 or -ENOMEM. */
int libc_walk__init(struct libc_walk *w, const struct remote *mem, void (*see)(void *, const struct libc_chunk *), void *ctx);
void libc_walk__free(struct libc_walk *w);

/* Does the heap that grows by brk begin at START ("[heap]")? */
bool libc_walk__is_main(struct libc_walk *w, uint64_t start, uint64_t end);
/*
 * Is a heap of a thread's arena at BASE, a multiple of LIBC_ARENA_ALIGN? Then *START is its first chunk, *END where it ends, both within
 * [BASE, LIMIT).
 */
bool libc_walk__is_arena(struct libc_walk *w, uint64_t base, uint64_t limit, uint64_t *start, uint64_t *end);
/* All chunks of [START, END), which are one behind the other. 0, -ESRCH, -EPERM. */
int libc_walk__run(struct libc_walk *w, uint64_t start, uint64_t end);
/* While it walks: SIZE bytes at ADDR, if they are among what was copied last; else NULL. */
const void *libc_walk__peek(const struct libc_walk *w, uint64_t addr, uint64_t size);
/*
 * Chunks that are mappings of their own, begun in [START, END), both page-aligned; none ends behind LIMIT. *NEXT: END, or where the last of them
 * ends. 0, -ESRCH, -EPERM.
 */
int libc_walk__mapped(struct libc_walk *w, uint64_t start, uint64_t end, uint64_t limit, uint64_t *next);

#endif
