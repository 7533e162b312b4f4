// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* All blocks of one reading of the heap, and an image of those that may refer to others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "graph_state.h"
#include "libc_heap.h"

enum {
	CHUNKS_AT_ONCE = 64,
	KEPT_MAX_BYTES = 64 << 10, /* larger chunks are read when they are needed */
	INSIDE_MAX_BYTES = 64,     /* so far behind its begin a word may lead into a buffer: heads, prefixes and hooks are there */
	FIRST_CAPACITY = 1 << 16,
};

#define CHUNK_IMAGE_MAX_BYTES (2ULL << 30)

static bool grow(struct graph *g, void *list, uint32_t *capacity, size_t cnt, size_t each)
{
	void **at = list, *bigger;
	size_t more = *capacity ? *capacity * 2ULL : FIRST_CAPACITY;

	if (cnt <= *capacity)
		return true;
	while (more < cnt)
		more *= 2;
	bigger = more < GRAPH_ROOTS ? realloc(*at, more * each) : NULL;
	if (!bigger) {
		g->err = -ENOMEM;
		return false;
	}
	*at = bigger;
	*capacity = more;
	return true;
}

static bool grow_blocks(struct graph *g, size_t cnt)
{
	uint32_t capacity = g->capacity;

	if (!grow(g, &g->tags, &capacity, cnt, sizeof(*g->tags)))
		return false;
	capacity = g->capacity;
	return grow(g, &g->object_offs, &capacity, cnt, sizeof(*g->object_offs)) && (g->capacity = capacity);
}

static bool reserve_image(struct graph *g, const struct found_pools *found)
{
	g->image_bytes = (uint64_t)found->cnt * found->pool_bytes;
	g->pool_bytes = found->pool_bytes;
	g->image = mmap(NULL, g->image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g->image != MAP_FAILED)
		return true;
	g->image = NULL;
	g->err = -ENOMEM;
	return false;
}

static bool begin_pool(struct graph *g, uint64_t addr, uint32_t block_bytes)
{
	uint32_t cnt = (g->pool_bytes - POOL_HEADER_BYTES) / block_bytes;

	if ((g->pool_cnt + 1ULL) * g->pool_bytes > g->image_bytes || !grow(g, &g->pools, &g->pool_capacity, g->pool_cnt + 1, sizeof(*g->pools)) ||
	    !grow_blocks(g, (size_t)g->node_cnt + cnt))
		return false;
	memset(g->tags + g->node_cnt, 0, cnt * sizeof(*g->tags));
	g->pools[g->pool_cnt++] = (struct graph_pool){ addr, g->node_cnt, block_bytes };
	g->node_cnt += cnt;
	return true;
}

static bool is_leaf_tag(struct graph *g, uint32_t tag)
{
	const struct graph_type *t = tag < TAG_FIRST ? NULL : graph__type(g, tag);

	return t && t->kind == KIND_LEAF;
}

static void see_block(void *graph, const struct heap_seen *seen)
{
	struct graph *g = graph;
	const struct found_pools *found = g->census->heap->found;
	uint64_t pool = seen->addr & ~(uint64_t)(found->pool_bytes - 1);
	const struct graph_pool *last;
	uint32_t i;

	if (g->err || (!g->image && !reserve_image(g, found)))
		return;
	if ((!g->pool_cnt || g->pools[g->pool_cnt - 1].addr != pool) && !begin_pool(g, pool, seen->bytes))
		return;
	last = &g->pools[g->pool_cnt - 1];
	i = (seen->addr - pool - POOL_HEADER_BYTES) / last->block_bytes;
	if (last->block_bytes != seen->bytes || last->first + i >= g->node_cnt)
		return;
	g->tags[last->first + i] = seen->tag;
	g->object_offs[last->first + i] = seen->tag >= TAG_FIRST ? seen->object_off : 0;
	if (!is_leaf_tag(g, seen->tag))
		memcpy(g->image + (uint64_t)(g->pool_cnt - 1) * g->pool_bytes + (seen->addr - pool), seen->content, seen->bytes);
}

static void see_chunk(void *graph, const struct libc_chunk *chunk, uint32_t tag, uint32_t object_off)
{
	struct graph *g = graph;

	if (g->err || !grow(g, &g->chunks, &g->chunk_capacity, g->chunk_cnt + 1, sizeof(*g->chunks)))
		return;
	g->chunks[g->chunk_cnt++] = (struct graph_chunk){ chunk->addr, chunk->bytes, 0, tag, tag >= TAG_FIRST ? object_off : 0 };
}

static int compare_chunks(const void *a, const void *b)
{
	const struct graph_chunk *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Arenas of pymalloc are chunks, or look like them, where they come from malloc: the pools in them are known already. */
static void drop_arenas(struct graph *g)
{
	uint32_t cnt = 0, pool = 0;

	for (uint32_t i = 0; i < g->chunk_cnt; i++) {
		const struct graph_chunk *c = &g->chunks[i];

		while (pool < g->pool_cnt && g->pools[pool].addr < c->addr)
			pool++;
		if (pool < g->pool_cnt && g->pools[pool].addr + g->pool_bytes <= c->addr + c->bytes)
			continue;
		if (cnt && c->addr == g->chunks[cnt - 1].addr)
			continue;
		g->chunks[cnt++] = *c;
	}
	g->chunk_cnt = cnt;
}

static uint32_t hash_of(uint64_t number, uint32_t bits)
{
	return number * 0x9e3779b97f4a7c15 >> (64 - bits);
}

static uint32_t *new_index(struct graph *g, uint32_t cnt, uint32_t *bits)
{
	uint32_t *index;

	for (*bits = 8; 1ULL << *bits < 2ULL * cnt; (*bits)++)
		;
	index = calloc(1ULL << *bits, sizeof(*index));
	if (!index)
		g->err = -ENOMEM;
	return index;
}

static void index_pools(struct graph *g)
{
	uint32_t at, mask;

	g->pool_index = new_index(g, g->pool_cnt, &g->pool_index_bits);
	mask = (1U << g->pool_index_bits) - 1;
	for (uint32_t i = 0; i < g->pool_cnt && g->pool_index; i++) {
		at = hash_of(g->pools[i].addr / g->pool_bytes, g->pool_index_bits);
		while (g->pool_index[at])
			at = (at + 1) & mask;
		g->pool_index[at] = i + 1;
	}
}

/* One place per page that a chunk begins in. */
static void index_chunks(struct graph *g)
{
	uint64_t page = 0;
	uint32_t at, mask;

	g->page_index = new_index(g, g->chunk_cnt, &g->page_index_bits);
	mask = (1U << g->page_index_bits) - 1;
	for (uint32_t i = 0; i < g->chunk_cnt && g->page_index; i++) {
		if (i && g->chunks[i].addr / PAGE_BYTES == page)
			continue;
		page = g->chunks[i].addr / PAGE_BYTES;
		at = hash_of(page, g->page_index_bits);
		while (g->page_index[at])
			at = (at + 1) & mask;
		g->page_index[at] = i + 1;
	}
}

static void set_bounds(struct graph *g)
{
	g->low = UINT64_MAX;
	if (g->pool_cnt) {
		g->low = g->pools[0].addr;
		g->high = g->pools[g->pool_cnt - 1].addr + g->pool_bytes;
	}
	if (g->chunk_cnt) {
		const struct graph_chunk *last = &g->chunks[g->chunk_cnt - 1];

		g->low = g->chunks[0].addr < g->low ? g->chunks[0].addr : g->low;
		g->high = last->addr + last->bytes > g->high ? last->addr + last->bytes : g->high;
	}
}

/* Chunks that may refer to others and are of a usual size, many at once. What has changed since the walk is what it is now. */
static void keep_chunks(struct graph *g)
{
	struct remote_item items[CHUNKS_AT_ONCE];
	uint32_t which[CHUNKS_AT_ONCE];
	size_t cnt = 0;
	uint64_t bytes = 0;
	int err;

	for (uint32_t i = 0; i < g->chunk_cnt; i++)
		if (g->chunks[i].bytes <= KEPT_MAX_BYTES && !is_leaf_tag(g, g->chunks[i].tag))
			bytes += g->chunks[i].bytes;
	g->chunk_image_capacity = bytes < CHUNK_IMAGE_MAX_BYTES ? bytes : CHUNK_IMAGE_MAX_BYTES;
	g->chunk_image = malloc(g->chunk_image_capacity + 1);
	if (!g->chunk_image) {
		g->err = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i <= g->chunk_cnt && !g->err; i++) {
		struct graph_chunk *c = i < g->chunk_cnt ? &g->chunks[i] : NULL;

		if (c && c->bytes <= KEPT_MAX_BYTES && !is_leaf_tag(g, c->tag) && c->bytes <= g->chunk_image_capacity - g->chunk_image_bytes) {
			items[cnt] = (struct remote_item){ c->addr, g->chunk_image + g->chunk_image_bytes, c->bytes, 0 };
			which[cnt++] = i;
			g->chunk_image_bytes += c->bytes;
		}
		if (cnt < CHUNKS_AT_ONCE && c)
			continue;
		err = remote__read_many(&g->py->mem, items, cnt);
		if (err)
			g->err = err;
		for (size_t k = 0; k < cnt; k++)
			if (items[k].ok)
				g->chunks[which[k]].image_off = (unsigned char *)items[k].out - g->chunk_image + 1;
		cnt = 0;
	}
}

int graph__read_blocks(struct graph *g)
{
	int err;

	g->observer = (struct census_observer){ see_block, see_chunk, g };
	g->census->observer = &g->observer;
	err = census__read(g->census);
	g->census->observer = NULL;
	if (err || g->err)
		return err ? err : g->err;
	g->block_cnt = g->node_cnt;
	if (g->chunk_cnt)
		qsort(g->chunks, g->chunk_cnt, sizeof(*g->chunks), compare_chunks);
	drop_arenas(g);
	if ((uint64_t)g->node_cnt + g->chunk_cnt >= GRAPH_ROOTS)
		return -ENOMEM;
	g->node_cnt += g->chunk_cnt;
	index_pools(g);
	index_chunks(g);
	set_bounds(g);
	if (!g->err)
		keep_chunks(g);
	return g->err;
}

static const struct graph_pool *pool_of(const struct graph *g, uint64_t addr)
{
	uint32_t mask = (1U << g->pool_index_bits) - 1, i;

	if (!g->pool_cnt)
		return NULL;
	addr &= ~(uint64_t)(g->pool_bytes - 1);
	for (i = hash_of(addr / g->pool_bytes, g->pool_index_bits); g->pool_index[i]; i = (i + 1) & mask)
		if (g->pools[g->pool_index[i] - 1].addr == addr)
			return &g->pools[g->pool_index[i] - 1];
	return NULL;
}

/* The last chunk that begins in the page of ADDR and not behind it; -1: none does. */
static int64_t chunk_in_page(const struct graph *g, uint64_t addr)
{
	uint32_t mask = (1U << g->page_index_bits) - 1, i;
	uint64_t page = addr / PAGE_BYTES;
	int64_t best = -1;

	for (i = hash_of(page, g->page_index_bits); g->page_index[i]; i = (i + 1) & mask)
		if (g->chunks[g->page_index[i] - 1].addr / PAGE_BYTES == page)
			break;
	if (!g->page_index[i])
		return -1;
	for (uint32_t at = g->page_index[i] - 1; at < g->chunk_cnt && g->chunks[at].addr <= addr; at++)
		best = at;
	return best;
}

/* A header may be in the page behind the one that its chunk begins in. */
static int64_t chunk_before(const struct graph *g, uint64_t addr)
{
	int64_t at = chunk_in_page(g, addr);

	if (at < 0 && addr % PAGE_BYTES < INSIDE_MAX_BYTES)
		at = chunk_in_page(g, (addr & ~(uint64_t)(PAGE_BYTES - 1)) - 1);
	return at;
}

uint32_t graph__of_word(const struct graph *g, uint64_t word)
{
	const struct graph_pool *p;
	uint32_t node, behind, tag, object_off;
	int64_t at;

	if (word & 7 || word < g->low || word >= g->high)
		return GRAPH_NONE;
	p = pool_of(g, word);
	if (p) {
		if (word - p->addr < POOL_HEADER_BYTES)
			return GRAPH_NONE;
		behind = word - p->addr - POOL_HEADER_BYTES;
		node = p->first + behind / p->block_bytes;
		behind %= p->block_bytes;
		if (node >= g->block_cnt)
			return GRAPH_NONE;
		tag = g->tags[node];
		object_off = g->object_offs[node];
	} else {
		at = chunk_before(g, word);
		if (at < 0 || word - g->chunks[at].addr >= g->chunks[at].bytes || word - g->chunks[at].addr > INSIDE_MAX_BYTES)
			return GRAPH_NONE;
		behind = word - g->chunks[at].addr;
		node = g->block_cnt + at;
		tag = g->chunks[at].tag;
		object_off = g->chunks[at].object_off;
	}
	if (tag == TAG_NONE)
		return GRAPH_NONE;
	return tag >= TAG_FIRST ? (behind == object_off ? node : GRAPH_NONE) : behind <= INSIDE_MAX_BYTES ? node : GRAPH_NONE;
}

uint32_t graph__tag(const struct graph *g, uint32_t node)
{
	return node < g->block_cnt ? g->tags[node] : node < g->node_cnt ? g->chunks[node - g->block_cnt].tag : TAG_NONE;
}

static const struct graph_pool *pool_of_node(const struct graph *g, uint32_t node)
{
	uint32_t low = 0, high = g->pool_cnt, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (g->pools[mid].first <= node)
			low = mid;
		else
			high = mid;
	}
	return &g->pools[low];
}

uint64_t graph__block(const struct graph *g, uint32_t node, uint64_t *bytes, uint32_t *object_off)
{
	const struct graph_chunk *c;
	const struct graph_pool *p;

	if (node >= g->block_cnt) {
		c = &g->chunks[node - g->block_cnt];
		*bytes = c->bytes;
		*object_off = c->object_off;
		return c->addr;
	}
	p = pool_of_node(g, node);
	*bytes = p->block_bytes;
	*object_off = g->object_offs[node];
	return p->addr + POOL_HEADER_BYTES + (uint64_t)(node - p->first) * p->block_bytes;
}

static const void *in_chunks(const struct graph *g, uint64_t addr, uint32_t size)
{
	uint32_t low = 0, high = g->chunk_cnt, mid;
	const struct graph_chunk *c;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (g->chunks[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	c = &g->chunks[low - 1];
	if (!c->image_off || addr - c->addr > c->bytes || size > c->bytes - (addr - c->addr))
		return NULL;
	return g->chunk_image + c->image_off - 1 + (addr - c->addr);
}

const void *graph__bytes(const struct graph *g, uint64_t addr, uint32_t size, void *scratch)
{
	const struct graph_pool *p = addr >= g->low && addr < g->high ? pool_of(g, addr) : NULL;
	const void *found;

	if (p && size <= g->pool_bytes && addr - p->addr <= g->pool_bytes - size) {
		uint32_t node = p->first + (addr - p->addr < POOL_HEADER_BYTES ? 0 : (addr - p->addr - POOL_HEADER_BYTES) / p->block_bytes);

		if (node < g->block_cnt && g->tags[node] != TAG_NONE && !graph__is_leaf(g, node))
			return g->image + (uint64_t)(p - g->pools) * g->pool_bytes + (addr - p->addr);
	}
	found = p || addr < g->low || addr >= g->high ? NULL : in_chunks(g, addr, size);
	if (found)
		return found;
	return remote__read(&g->py->mem, addr, scratch, size) ? NULL : scratch;
}
