// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>

#include <bpf/bpf.h>

#include "batch.h"
#include "shared.h"

int batch__each(int fd, void *keys, void *values, uint32_t max, batch_fn fn, void *ctx)
{
	uint64_t at;
	void *in = NULL;
	int err = 0, stop;

	while (!err) {
		uint32_t cnt = max;

		err = bpf_map_lookup_batch(fd, in, &at, keys, values, &cnt, NULL) ? -errno : 0;
		if (err && err != -ENOENT)
			return err;
		stop = cnt ? fn(ctx, keys, values, cnt) : 0; /* the last ones come with -ENOENT */
		if (stop)
			return stop;
		in = &at;
	}
	return 0;
}

uint32_t batch__slot_of_block(const void *key, const void *value __attribute__((unused)))
{
	return BLOCK_KEY_SLOT(*(const block_key *)key);
}

uint32_t batch__slot_of_group(const void *key, const void *value __attribute__((unused)))
{
	return STACK_SLOT(((const struct agg_key *)key)->stack);
}

uint32_t batch__slot_of_stack_id(const void *key, const void *value __attribute__((unused)))
{
	return STACK_SLOT(*(const uint32_t *)key);
}

uint32_t batch__slot_of_stack(const void *key __attribute__((unused)), const void *value)
{
	return STACK_SLOT(*(const uint32_t *)value);
}
