// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "engine.h"
#include "gate_witness.h"
#include "pool.h"
#include "remote.h"

static size_t list_recorded(const struct engine *e, uint32_t slot, uint64_t since_ns, struct gate_witness *out, size_t max)
{
	uint32_t since_birth = since_ns >> BIRTH_SHIFT;
	const struct young *young;
	size_t places, cnt = 0;

	young = engine__young(e, slot, &places);
	for (size_t i = 0; i < places && cnt < max; i++) {
		block_key key = __atomic_load_n(&young[i].key, __ATOMIC_ACQUIRE);
		const struct block b = young[i].block;

		if (!key || b.birth < since_birth || BLOCK_SIZE(b.size_domain) > POOL_BLOCK_MAX_BYTES || BLOCK_DOMAIN(b.size_domain) != DOMAIN_OBJ)
			continue;
		if (__atomic_load_n(&young[i].key, __ATOMIC_ACQUIRE) == key)
			out[cnt++] = (struct gate_witness){ .addr = BLOCK_KEY_ADDR(key), .birth = b.birth, .size = BLOCK_SIZE(b.size_domain) };
	}
	return cnt;
}

static size_t read_recorded(pid_t pid, struct gate_witness *list, size_t cnt)
{
	struct remote_item *items = calloc(cnt ? cnt : 1, sizeof(*items));
	const struct remote mem = remote__process(pid);
	size_t kept = 0;

	for (size_t i = 0; items && i < cnt; i++)
		items[i] = (struct remote_item){ list[i].addr, list[i].bytes, list[i].size < GATE_WITNESS_BYTES ? list[i].size : GATE_WITNESS_BYTES, 0 };
	if (!items || remote__read_many(&mem, items, cnt))
		cnt = 0;
	for (size_t i = 0; i < cnt; i++)
		if (items[i].ok)
			list[kept++] = list[i];
	free(items);
	return kept;
}

size_t gate_witness__read(const struct engine *e, uint32_t slot, pid_t pid, uint64_t since_ns, struct gate_witness *out, size_t max)
{
	return read_recorded(pid, out, list_recorded(e, slot, since_ns, out, max));
}
