// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "libc_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_BYTES = 4096,
	WINDOW_BYTES = 256 * 1024,
	TRIES = 4,
	FLAG_PREV_IN_USE = 1,
	FLAG_MAPPED = 2,
	FLAGS = 7,
	CHUNK_MIN_BYTES = 32,
	PAGES_AT_ONCE = 64,
	CHAIN_CNT = 8, /* so many make a begin believable */
	/* struct malloc_state of 2.19 to 2.41 is 2184 to 2200 bytes */
	ARENA_STATE_MIN_BYTES = 2048,
	ARENA_STATE_MAX_BYTES = 2560,
};

#define TOP_GROWS_BYTES (64ULL << 20)

#define BLOCK_SLACK_BYTES 80     /* a block may be so much larger than what was asked for */
#define MAPPING_SLACK_BYTES 8192
#define BLOCK_MAX_BYTES (1ULL << 40)

struct heap_info {
	uint64_t arena, prev, size, mprotect_size;
};

bool libc_block__is_used(const struct remote *mem, uint64_t addr, uint64_t *size)
{
	uint64_t head, behind;

	if (remote__read_u64(mem, addr - 8, &head))
		return false;
	if (head & FLAG_MAPPED) {
		head = libc_mapping_bytes(head);
		if (!head || addr % PAGE_BYTES != LIBC_CHUNK_HEADER_BYTES || head < *size + LIBC_CHUNK_HEADER_BYTES || head > BLOCK_MAX_BYTES)
			return false;
		if (head > *size + LIBC_CHUNK_HEADER_BYTES + MAPPING_SLACK_BYTES)
			*size = head - LIBC_CHUNK_HEADER_BYTES;
		return true;
	}
	head &= ~(uint64_t)FLAGS;
	if (head < *size + 8 || head > *size + 8 + BLOCK_SLACK_BYTES)
		return false;
	return !remote__read_u64(mem, addr - 8 + head, &behind) && (behind & FLAG_PREV_IN_USE);
}

int libc_walk__init(struct libc_walk *w, const struct remote *mem, void (*see)(void *, const struct libc_chunk *), void *ctx)
{
	*w = (struct libc_walk){ .mem = mem, .see = see, .ctx = ctx, .window = malloc(WINDOW_BYTES) };
	return w->window ? 0 : -ENOMEM;
}

void libc_walk__free(struct libc_walk *w)
{
	free(w->window);
	w->window = NULL;
}

static void forget_window(struct libc_walk *w)
{
	w->window_bytes = 0;
	w->window_next = 0;
}

/*
 * The rest of the page, and more of what follows the longer it goes on without a gap: what was never touched must not be read, and in
 * a large chunk there is such memory.
 */
static int move_window(struct libc_walk *w, uint64_t addr, uint64_t size, uint64_t end)
{
	bool goes_on = w->window_bytes && addr >= w->window_addr && addr <= w->window_addr + w->window_bytes;
	uint64_t wanted = goes_on ? w->window_next : 0, most = end - addr;
	int err;

	wanted += PAGE_BYTES - addr % PAGE_BYTES;
	if (wanted < size)
		wanted += PAGE_BYTES;
	if (wanted > WINDOW_BYTES)
		wanted = WINDOW_BYTES;
	if (wanted > most)
		wanted = most;
	w->window_next = wanted * 2 < WINDOW_BYTES ? wanted * 2 : WINDOW_BYTES;
	w->window_addr = addr;
	w->window_bytes = 0;
	if (wanted < size)
		return -EFAULT;
	err = remote__read(w->mem, addr, w->window, wanted);
	if (err == -EFAULT && wanted > size) { /* a hole ahead */
		wanted = size;
		err = remote__read(w->mem, addr, w->window, wanted);
	}
	if (!err)
		w->window_bytes = wanted;
	return err;
}

/* SIZE bytes at ADDR, none of them behind END. */
static int look(struct libc_walk *w, uint64_t addr, uint64_t size, uint64_t end, const void **out)
{
	int err;

	if (addr > end || size > end - addr)
		return -EFAULT;
	if (addr < w->window_addr || addr - w->window_addr > w->window_bytes || size > w->window_bytes - (addr - w->window_addr)) {
		err = move_window(w, addr, size, end);
		if (err)
			return err;
	}
	*out = w->window + (addr - w->window_addr);
	return 0;
}

static int size_word(struct libc_walk *w, uint64_t chunk, uint64_t end, uint64_t *out)
{
	const void *header;
	int err = look(w, chunk, LIBC_CHUNK_HEADER_BYTES, end, &header);

	if (!err)
		memcpy(out, (const char *)header + 8, sizeof(*out));
	return err;
}

/* How long is the chunk, or the top, that begins at CHUNK? 0: there is none. */
static uint64_t chunk_bytes(uint64_t word, uint64_t chunk, uint64_t end)
{
	uint64_t bytes = word & ~(uint64_t)FLAGS;

	if (bytes < CHUNK_MIN_BYTES || bytes % 16 || word & FLAG_MAPPED)
		return 0;
	if (bytes <= end - chunk)
		return bytes;
	/* The top, which has grown since the mappings were read. */
	return bytes - (end - chunk) <= TOP_GROWS_BYTES && (chunk + bytes) % PAGE_BYTES == 0 ? end - chunk : 0;
}

static bool is_chain(struct libc_walk *w, uint64_t chunk, uint64_t end)
{
	uint64_t word, bytes;

	forget_window(w);
	for (int i = 0; i < CHAIN_CNT && chunk != end; i++) {
		if (chunk > end || size_word(w, chunk, end, &word) || (i == 0 && !(word & FLAG_PREV_IN_USE)))
			return false;
		bytes = chunk_bytes(word, chunk, end);
		if (!bytes)
			return false;
		chunk += bytes;
	}
	return true;
}

bool libc_walk__is_main(struct libc_walk *w, uint64_t start, uint64_t end)
{
	return start < end && is_chain(w, start, end);
}

bool libc_walk__is_arena(struct libc_walk *w, uint64_t base, uint64_t limit, uint64_t *start, uint64_t *end)
{
	struct heap_info info;

	if (base % LIBC_ARENA_ALIGN || limit <= base || limit - base < PAGE_BYTES || remote__read(w->mem, base, &info, sizeof(info)))
		return false;
	if (info.size < PAGE_BYTES || info.size % PAGE_BYTES || info.size > info.mprotect_size || info.mprotect_size > LIBC_ARENA_ALIGN ||
	    info.size > limit - base || info.prev % LIBC_ARENA_ALIGN)
		return false;
	*end = base + info.size;
	/* sizeof(struct _heap_info) is 32, from 2.35 on 48. The first heap of an arena has the arena's state in it. */
	if (info.arena == base + 32 || info.arena == base + 48) {
		for (*start = info.arena + ARENA_STATE_MIN_BYTES; *start < info.arena + ARENA_STATE_MAX_BYTES; *start += 16)
			if (is_chain(w, *start, *end))
				return true;
		return false;
	}
	for (*start = base + 32; *start <= base + 64; *start += 16)
		if (is_chain(w, *start, *end))
			return true;
	return false;
}

struct place {
	uint64_t bytes;
	bool in_use, last;
	struct libc_chunk chunk;
	unsigned char head[LIBC_HEAD_BYTES];
};

static int look_at_chunk(struct libc_walk *w, uint64_t at, uint64_t end, struct place *out)
{
	uint64_t word, next;
	const void *head;
	int err = size_word(w, at, end, &word);

	if (err)
		return err;
	out->bytes = chunk_bytes(word, at, end);
	if (!out->bytes)
		return -EFAULT;
	out->last = out->bytes == end - at;
	out->in_use = false;
	if (out->last)
		return 0;
	/* The last 8 of them are in the header of the next one. */
	out->chunk = (struct libc_chunk){ at + LIBC_CHUNK_HEADER_BYTES, out->bytes - 8, out->head, 0, false };
	out->chunk.head_bytes = out->chunk.bytes < LIBC_HEAD_BYTES ? out->chunk.bytes : LIBC_HEAD_BYTES;
	err = look(w, out->chunk.addr, out->chunk.head_bytes, end, &head);
	if (err)
		return err;
	memcpy(out->head, head, out->chunk.head_bytes);
	err = size_word(w, at + out->bytes, end, &next);
	if (err)
		return err;
	out->in_use = next & FLAG_PREV_IN_USE;
	/* Two words of 16 bytes stand where a heap ends. */
	return chunk_bytes(next, at + out->bytes, end) || (next & ~(uint64_t)FLAGS) == 16 ? 0 : -EFAULT;
}

const void *libc_walk__peek(const struct libc_walk *w, uint64_t addr, uint64_t size)
{
	uint64_t off = addr - w->window_addr;

	return addr >= w->window_addr && off <= w->window_bytes && size <= w->window_bytes - off ? w->window + off : NULL;
}

/* Chunks that the window has all of, with the header behind them, from AT on; returns where it ends. Most are: nothing is copied for them. */
static uint64_t see_in_window(struct libc_walk *w, uint64_t at, uint64_t end)
{
	const unsigned char *p;
	struct libc_chunk chunk;
	uint64_t off, word, next, bytes;

	if (at < w->window_addr || at - w->window_addr >= w->window_bytes)
		return at;
	for (off = at - w->window_addr; w->window_bytes - off >= LIBC_CHUNK_HEADER_BYTES; off += bytes, at += bytes) {
		p = w->window + off;
		memcpy(&word, p + 8, sizeof(word));
		bytes = chunk_bytes(word, at, end);
		if (!bytes || bytes == end - at || bytes + LIBC_CHUNK_HEADER_BYTES > w->window_bytes - off)
			break;
		memcpy(&next, p + bytes + 8, sizeof(next));
		if (!chunk_bytes(next, at + bytes, end))
			break;
		if (!(next & FLAG_PREV_IN_USE)) {
			w->free_bytes += bytes;
			continue;
		}
		w->chunks++;
		w->used_bytes += bytes;
		chunk = (struct libc_chunk){ at + LIBC_CHUNK_HEADER_BYTES, bytes - 8, p + LIBC_CHUNK_HEADER_BYTES, 0, false };
		chunk.head_bytes = chunk.bytes < LIBC_HEAD_BYTES ? chunk.bytes : LIBC_HEAD_BYTES;
		w->see(w->ctx, &chunk);
	}
	return at;
}

int libc_walk__run(struct libc_walk *w, uint64_t start, uint64_t end)
{
	struct place p;
	uint64_t word;
	int err;

	forget_window(w);
	for (uint64_t at = start; at < end; at += p.bytes) {
		at = see_in_window(w, at, end);
		err = look_at_chunk(w, at, end, &p);
		for (int i = 1; i < TRIES && err == -EFAULT; i++) {
			w->retried++;
			forget_window(w);
			err = look_at_chunk(w, at, end, &p);
		}
		if (err == -EFAULT) {
			if (size_word(w, at, end, &word) || (word & ~(uint64_t)FLAGS) != 16 || end - at > 2 * CHUNK_MIN_BYTES)
				w->lost_bytes += end - at;
			return 0;
		}
		if (err)
			return err;
		if (!p.in_use) {
			w->free_bytes += p.bytes;
			continue;
		}
		w->chunks++;
		w->used_bytes += p.bytes;
		w->see(w->ctx, &p.chunk);
	}
	return 0;
}

struct page_head {
	uint64_t words[(LIBC_CHUNK_HEADER_BYTES + LIBC_HEAD_BYTES) / 8];
};

/* 0: none begins there. */
static uint64_t mapped_bytes(const struct page_head *h, uint64_t addr, uint64_t limit)
{
	uint64_t bytes = libc_mapping_bytes(h->words[1]);

	return !h->words[0] && (h->words[1] & FLAGS) == FLAG_MAPPED && bytes <= limit - addr ? bytes : 0;
}

int libc_walk__mapped(struct libc_walk *w, uint64_t start, uint64_t end, uint64_t limit, uint64_t *next)
{
	struct page_head heads[PAGES_AT_ONCE];
	struct remote_item items[PAGES_AT_ONCE];
	uint64_t at = start, bytes, step;
	int err, cnt;

	while (at < end) {
		for (cnt = 0; cnt < PAGES_AT_ONCE && at + (uint64_t)cnt * PAGE_BYTES < end; cnt++)
			items[cnt] = (struct remote_item){ at + (uint64_t)cnt * PAGE_BYTES, &heads[cnt], sizeof(heads[cnt]), 0 };
		err = remote__read_many(w->mem, items, cnt);
		if (err)
			return err;
		for (int i = 0; i < cnt; i += step / PAGE_BYTES) {
			bytes = items[i].ok ? mapped_bytes(&heads[i], items[i].addr, limit) : 0;
			step = bytes ? bytes : PAGE_BYTES;
			at = items[i].addr + step;
			if (!bytes)
				continue;
			w->chunks++;
			w->used_bytes += bytes;
			w->see(w->ctx, &(struct libc_chunk){ items[i].addr + LIBC_CHUNK_HEADER_BYTES, bytes - LIBC_CHUNK_HEADER_BYTES,
							     heads[i].words + 2, LIBC_HEAD_BYTES, true });
			if (step / PAGE_BYTES >= (uint64_t)(cnt - i))
				break;
		}
	}
	*next = at;
	return 0;
}
