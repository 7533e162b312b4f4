// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

enum {
	DIFFERENT_MAX = 255,
	ROOM_STEP = 4,
	HASH_SIZE = 512, /* twice as many as there can be */
};

/* Slots by content, for one pool. */
struct palette {
	struct slot slots[DIFFERENT_MAX];
	uint32_t cnt;
	uint16_t places[HASH_SIZE]; /* which slot + 1 */
};

void heap_slots__init(struct heap_slots *s, uint16_t capacity)
{
	*s = (struct heap_slots){ .capacity = capacity };
}

void heap_slots__free(struct heap_slots *s)
{
	free(s->mem);
	s->mem = NULL;
	s->cnt = s->room = 0;
}

static bool is_none(struct slot s)
{
	return !s.tag && !s.since;
}

static bool is_same(struct slot a, struct slot b)
{
	return a.tag == b.tag && a.since == b.since;
}

/* Which + 1; 0: there is no room for another one. */
static uint32_t palette__find(struct palette *p, struct slot slot)
{
	uint32_t at = (slot.tag * 31 + slot.since * 101) % HASH_SIZE;

	for (; p->places[at]; at = (at + 1) % HASH_SIZE)
		if (is_same(p->slots[p->places[at] - 1], slot))
			return p->places[at];
	if (p->cnt == DIFFERENT_MAX)
		return 0;
	p->slots[p->cnt++] = slot;
	p->places[at] = p->cnt;
	return p->cnt;
}

/* false: too many different ones. */
static bool sort_out(const struct heap_slots *s, const struct slot *from, struct palette *p, unsigned char *which)
{
	struct slot last = { 0 };
	uint32_t last_which = 0;

	p->cnt = 0;
	memset(p->places, 0, sizeof(p->places));
	for (uint32_t i = 0; i < s->capacity; i++) {
		if (is_none(from[i])) {
			which[i] = 0;
			continue;
		}
		if (!is_same(from[i], last)) {
			last = from[i];
			last_which = palette__find(p, last);
			if (!last_which)
				return false;
		}
		which[i] = last_which;
	}
	return true;
}

static int make_room(struct heap_slots *s, uint16_t room)
{
	size_t bytes = room ? room * sizeof(struct slot) + s->capacity : s->capacity * sizeof(struct slot);
	struct slot *mem;

	if (s->mem && room && s->room >= room && s->room <= 2 * room)
		return 0;
	if (s->mem && !room && !s->room)
		return 0;
	mem = malloc(bytes);
	if (!mem)
		return -ENOMEM;
	free(s->mem);
	s->mem = mem;
	s->room = room;
	return 0;
}

int heap_slots__pack(struct heap_slots *s, const struct slot *from)
{
	unsigned char which[POOL_BLOCKS_MAX];
	struct palette p;
	int err;

	if (!sort_out(s, from, &p, which)) {
		err = make_room(s, 0);
		if (!err)
			memcpy(s->mem, from, s->capacity * sizeof(*from));
		return err;
	}
	err = make_room(s, (p.cnt / ROOM_STEP + 1) * ROOM_STEP);
	if (err)
		return err;
	s->cnt = p.cnt;
	memcpy(s->mem, p.slots, p.cnt * sizeof(p.slots[0]));
	memcpy(s->mem + s->room, which, s->capacity);
	return 0;
}

void heap_slots__unpack(const struct heap_slots *s, struct slot *to)
{
	if (s->mem && !s->room) {
		memcpy(to, s->mem, s->capacity * sizeof(*to));
		return;
	}
	for (uint32_t i = 0; i < s->capacity; i++)
		to[i] = heap_slots__get(s, i);
}

int heap_slots__set(struct heap_slots *s, uint32_t i, struct slot slot)
{
	struct slot all[POOL_BLOCKS_MAX];

	if (s->mem && !s->room) {
		s->mem[i] = slot;
		return 0;
	}
	for (uint32_t k = 0; k < s->cnt; k++) {
		if (is_same(s->mem[k], slot)) {
			((unsigned char *)(s->mem + s->room))[i] = k + 1;
			return 0;
		}
	}
	/* ROOM may be one more than a byte can tell apart. */
	if (s->mem && s->cnt < s->room && s->cnt < DIFFERENT_MAX) {
		s->mem[s->cnt++] = slot;
		((unsigned char *)(s->mem + s->room))[i] = s->cnt;
		return 0;
	}
	heap_slots__unpack(s, all);
	all[i] = slot;
	return heap_slots__pack(s, all);
}

void heap_slots__cnt(const struct heap_slots *s, uint32_t *cnts)
{
	const unsigned char *which = s->mem ? (const unsigned char *)(s->mem + s->room) : NULL;

	for (uint32_t i = 0; which && i < s->capacity; i++) {
		if (!s->room)
			cnts[i]++;
		else if (which[i])
			cnts[which[i] - 1]++;
	}
}
