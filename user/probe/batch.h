/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hash maps of the programs, many elements at a time, and whose each element is. */
#ifndef BATCH_H
#define BATCH_H

#include <stddef.h>
#include <stdint.h>

/* CNT elements, each array without gaps. Not 0: no more of them; batch__each() returns it. */
typedef int (*batch_fn)(void *ctx, const void *keys, const void *values, size_t cnt);

/*
 * All elements of a map, at most MAX at once, by way of KEYS and VALUES, which have room for so many. A map that changes meanwhile may
 * show an element twice or not at all, never a wrong one. 0, -errno, or what FN returned.
 */
int batch__each(int fd, void *keys, void *values, uint32_t max, batch_fn fn, void *ctx);

/* The process slot of an element. */
typedef uint32_t (*batch_slot_fn)(const void *key, const void *value);
uint32_t batch__slot_of_block(const void *key, const void *value);    /* by a block_key */
uint32_t batch__slot_of_group(const void *key, const void *value);    /* by a struct agg_key */
uint32_t batch__slot_of_stack_id(const void *key, const void *value); /* by a STACK_ID that is the key */
uint32_t batch__slot_of_stack(const void *key, const void *value);    /* by a STACK_ID that is the value */

#endif
