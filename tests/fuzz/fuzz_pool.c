// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A pool of pymalloc that says anything of itself, and the slots that are kept of one. */
#include "heap_slots.h"
#include "input.h"
#include "pool.h"

enum { ADDR = 1 << 20 };

static uint32_t count_bits(const uint64_t *bits, uint32_t from, uint32_t to)
{
	uint32_t cnt = 0;

	for (uint32_t i = from; i < to; i++)
		cnt += pool__is_free(bits, i);
	return cnt;
}

/* The first bytes of the input are the header, as it is or made plausible; the rest is the beginning of the blocks. */
static void make_header(struct input *in, uint32_t pool_bytes, uint8_t *header)
{
	uint32_t block_bytes = (1 + input__number(in, 1) % 32) * 16, carved = 2 + input__number(in, 2) % (pool_bytes / block_bytes);
	const uint32_t live = input__number(in, 2) % (carved + 1), next = POOL_HEADER_BYTES + carved * block_bytes;
	const uint64_t first = ADDR + POOL_HEADER_BYTES + input__number(in, 2) % (carved + 1) * block_bytes, link = 4096;
	const uint32_t tail[] = { 0, block_bytes / 16 - 1, next, pool_bytes - block_bytes };

	memset(header, 0, POOL_HEADER_BYTES);
	memcpy(header, &live, sizeof(live));
	memcpy(header + 8, &first, sizeof(first));
	memcpy(header + 16, &link, sizeof(link));
	memcpy(header + 24, &link, sizeof(link));
	memcpy(header + 32, tail, sizeof(tail));
}

static void look_at_pool(struct input *in)
{
	uint32_t kind = input__number(in, 1), pool_bytes = kind & 1 ? POOL_LARGE_BYTES : POOL_SMALL_BYTES, end, i = 0;
	uint64_t free_bits[POOL_BLOCKS_MAX / 64], link;
	uint8_t header[POOL_HEADER_BYTES];
	struct pool p;
	uint8_t *image;
	int cnt;

	if (kind & 2) {
		make_header(in, pool_bytes, header);
	} else {
		for (i = 0; i < POOL_HEADER_BYTES; i++)
			header[i] = input__number(in, 1);
	}
	if (!pool__decode(header, ADDR, pool_bytes, &p))
		return;
	end = pool__carved_end(&p);
	must(p.carved <= p.capacity && p.capacity < POOL_BLOCKS_MAX && p.live <= p.carved && end <= pool_bytes);
	must(p.first_free <= p.carved || p.first_free == POOL_BLOCKS_MAX);
	image = calloc(1, end);
	must(image);
	memcpy(image, header, POOL_HEADER_BYTES);
	for (i = 0; in->left >= 2 && i < p.carved; i++) {
		link = ADDR + POOL_HEADER_BYTES + input__number(in, 2) * (kind & 4 ? 8 : p.block_bytes);
		memcpy(image + POOL_HEADER_BYTES + i * p.block_bytes, &link, sizeof(link));
	}
	cnt = pool__free_blocks(image, ADDR, &p, free_bits);
	must(!count_bits(free_bits, p.carved, POOL_BLOCKS_MAX));
	must(cnt < 0 || count_bits(free_bits, 0, p.carved) == (uint32_t)cnt);
	free(image);
}

/* Against a plain array. */
static void compare_slots(struct input *in)
{
	struct slot model[POOL_BLOCKS_MAX] = { 0 }, all[POOL_BLOCKS_MAX];
	uint16_t capacity = 1 + input__number(in, 2) % (POOL_BLOCKS_MAX - 1);
	struct heap_slots s;

	heap_slots__init(&s, capacity);
	while (in->left) {
		uint32_t op = input__number(in, 1), i = input__number(in, 2) % capacity, tag = input__number(in, 2);

		if (op & 1) {
			for (uint32_t k = 0; k < capacity; k++)
				model[k] = (struct slot){ tag % (k % (1 + (op >> 1) * 8) + 1), op };
			must(!heap_slots__pack(&s, model));
		} else {
			for (uint32_t k = 0; k <= (op >> 1); k++) {
				model[(i + k) % capacity] = (struct slot){ tag + k, op };
				must(!heap_slots__set(&s, (i + k) % capacity, model[(i + k) % capacity]));
			}
		}
		heap_slots__unpack(&s, all);
		for (uint32_t k = 0; k < capacity; k++)
			must(all[k].tag == model[k].tag && all[k].since == model[k].since);
	}
	heap_slots__free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size < 4096 ? size : 4096 };

	if (input__number(&in, 1) & 1)
		look_at_pool(&in);
	else
		compare_slots(&in);
	return 0;
}
