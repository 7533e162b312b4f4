// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "census_mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void census_mark__free(struct census_mark *m)
{
	free(m->looks);
	*m = (struct census_mark){ 0 };
}

int census_mark__add(struct census_mark *m, const struct census_look *look)
{
	size_t capacity = m->capacity ? 2 * m->capacity : 16;
	struct census_look *bigger;

	if (m->cnt == m->capacity) {
		bigger = realloc(m->looks, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		m->looks = bigger;
		m->capacity = capacity;
	}
	m->looks[m->cnt++] = *look;
	return 0;
}

const struct census_look *census_mark__last(struct census_mark *m, uint64_t end_ns, uint64_t full_gcs)
{
	size_t last = 0;

	if (!m->cnt)
		return NULL;
	while (last + 1 < m->cnt && m->looks[last + 1].end_ns <= end_ns && m->looks[last + 1].full_gcs <= full_gcs)
		last++;
	if (last > 1) {
		memmove(&m->looks[1], &m->looks[last], (m->cnt - last) * sizeof(*m->looks));
		m->cnt -= last - 1;
		last = 1;
	}
	return &m->looks[last];
}
