// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Numbers of readings when there are more than numbers: what was seen first in which, against a model. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap_state.h"

enum { BLOCKS = 500, READINGS = 500, END = 32 };

/* Groups of readings that have become one: the last of each. [0] is the first reading alone, for ever. */
struct model {
	uint32_t last[END];
	int cnt;
};

static void model__read(struct model *m, uint32_t reading)
{
	if (m->cnt + 1 == END) {
		int cnt = 1;

		for (int i = 1; i < m->cnt; i += 2)
			m->last[cnt++] = m->last[i + 1 < m->cnt ? i + 1 : i];
		m->cnt = cnt;
	}
	m->last[m->cnt++] = reading;
}

/* The group that READING is in. */
static uint32_t model__since(const struct model *m, uint32_t reading)
{
	for (int i = 0; i < m->cnt; i++)
		if (reading <= m->last[i])
			return m->last[i];
	return 0;
}

static void readings_become_one_by_pairs(void **state)
{
	struct heap *h = heap__new(NULL);
	uint32_t truth[BLOCKS] = { 0 }, since;
	struct model m = { 0 };
	struct slot slots[BLOCKS] = { 0 };

	(void)state;
	h->since_end = END;
	h->pool_cnt = 1;
	h->pools = calloc(1, sizeof(*h->pools));
	heap_slots__init(&h->pools[0].slots, BLOCKS);
	h->pools[0].block_bytes = 32;
	for (uint32_t reading = 1; reading <= READINGS; reading++) {
		h->stats.readings = reading;
		assert_int_equal(heap_books__begin(h), 0);
		assert_true(h->since_now < END);
		model__read(&m, reading);
		heap_slots__unpack(&h->pools[0].slots, slots);
		slots[reading - 1] = (struct slot){ TAG_BUFFER, h->since_now };
		assert_int_equal(heap_slots__pack(&h->pools[0].slots, slots), 0);
		truth[reading - 1] = reading;
		for (uint32_t i = 0; i < reading; i++) {
			since = h->since_reading[slots[i].since];
			assert_int_equal(since, model__since(&m, truth[i]));
			assert_true(since >= truth[i]);
			assert_int_equal(slots[i].since == SINCE_FIRST, i == 0);
			assert_int_equal(slots[i].since == h->since_now, truth[i] == reading);
		}
		h->stats.live = h->stats.live_bytes = 0;
		heap_books__count(h, &h->pools[0]);
		assert_int_equal(h->stats.live, reading);
		assert_int_equal(h->buffers[4].old, 1);
		assert_int_equal(h->buffers[4].fresh, 1);
	}
	heap__free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readings_become_one_by_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
