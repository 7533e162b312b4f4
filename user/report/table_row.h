/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One grower of the table: its numbers, its line, its stack. */
#ifndef TABLE_ROW_H
#define TABLE_ROW_H

#include <stdbool.h>

#include "line.h"

struct snapshot;
struct growth_row;

void table_row__head(struct lines *l);
void table_row__print(struct lines *l, const struct snapshot *s, const struct growth_row *r, bool verbose);

#endif
