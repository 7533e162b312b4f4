/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of each block of a pool: one byte per block, as most pools have a handful of different (type, since). With more than
 * 255 of them it is 4 bytes.
 */
#ifndef HEAP_SLOTS_H
#define HEAP_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct slot {
	uint16_t tag;
	uint16_t since;
};

struct heap_slots {
	/* ROOM different slots, then CAPACITY bytes: 0 for {0, 0}, else which of them + 1. ROOM 0: CAPACITY slots. NULL: all {0, 0} */
	struct slot *mem; /* owned */
	uint16_t capacity, cnt, room;
};

void heap_slots__init(struct heap_slots *s, uint16_t capacity);
void heap_slots__free(struct heap_slots *s);

/* All at once, CAPACITY of them. -ENOMEM: as it was. */
int heap_slots__pack(struct heap_slots *s, const struct slot *from);
void heap_slots__unpack(const struct heap_slots *s, struct slot *to);

/* -ENOMEM: as it was. */
int heap_slots__set(struct heap_slots *s, uint32_t i, struct slot slot);

static inline struct slot heap_slots__get(const struct heap_slots *s, uint32_t i)
{
	unsigned char which;

	if (!s->mem)
		return (struct slot){ 0 };
	if (!s->room)
		return s->mem[i];
	which = ((const unsigned char *)(s->mem + s->room))[i];
	return which ? s->mem[which - 1] : (struct slot){ 0 };
}

/* Different slots, at most POOL_BLOCKS_MAX, to be changed in place; in no order, some may be equal, some of no block any more. */
static inline struct slot *heap_slots__all(const struct heap_slots *s, uint32_t *cnt)
{
	*cnt = !s->mem ? 0 : s->room ? s->cnt : s->capacity;
	return s->mem;
}

/* How many blocks have each of heap_slots__all(), added to CNTS. */
void heap_slots__cnt(const struct heap_slots *s, uint32_t *cnts);

#endif
