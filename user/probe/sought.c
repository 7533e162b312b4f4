// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "pool.h"
#include "python.h"
#include "shape.h"
#include "sought.h"

/* false: it is none that can be sought. */
static bool describe(const struct py_interp *py, uint64_t maker, uint64_t type, struct sought *out)
{
	struct type_info info;
	struct type_shape shape;

	if (!maker || type_info__read(py, type, &info) || !(info.flags & TYPE_HEAP) || info.alloc != maker)
		return false;
	shape = type_shape__of(py, &info);
	*out = (struct sought){ type, shape.heads_bytes + (uint32_t)info.basicsize, shape.heads_bytes };
	return out->bytes <= POOL_BLOCK_MAX_BYTES;
}

void sought__add(struct sought_list *s, const struct py_interp *py, uint64_t maker, uint64_t type, int64_t gained_bytes)
{
	size_t at = s->cnt;
	struct sought sought;

	while (at > 0 && s->gained_bytes[at - 1] < gained_bytes)
		at--;
	if (at == SOUGHT_MAX || !describe(py, maker, type, &sought))
		return;
	s->cnt += s->cnt < SOUGHT_MAX;
	memmove(s->list + at + 1, s->list + at, (s->cnt - at - 1) * sizeof(*s->list));
	memmove(s->gained_bytes + at + 1, s->gained_bytes + at, (s->cnt - at - 1) * sizeof(*s->gained_bytes));
	s->list[at] = sought;
	s->gained_bytes[at] = gained_bytes;
}
