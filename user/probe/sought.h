/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which classes a lookout is worth for: of what the heap has gained many objects and the sample knows few. */
#ifndef SOUGHT_H
#define SOUGHT_H

#include <stddef.h>
#include <stdint.h>

#include "shared.h"

struct py_interp;

struct sought_list {
	struct sought list[SOUGHT_MAX];
	int64_t gained_bytes[SOUGHT_MAX]; /* the most comes first */
	size_t cnt;
};

/* Adds TYPE if it is a class whose instances MAKER (engine__maker(), in this process) makes, in blocks of pymalloc; of more than SOUGHT_MAX the least goes. */
void sought__add(struct sought_list *s, const struct py_interp *py, uint64_t maker, uint64_t type, int64_t gained_bytes);

#endif
