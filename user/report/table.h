/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A snapshot for people: who grows, in which line, how fast. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>

struct snapshot;
struct text;

struct table_opts {
	/*
	 * Columns; no line is longer. 0: not a terminal, nothing is cut (a log or a file has no right edge, and a path that was
	 * cut cannot be searched for).
	 */
	int width;
	bool color;   /* SGR sequences may be used */
	bool verbose; /* whole stacks, whole lists of processes */
};

#define TABLE_FRAMES 6 /* shown per stack unless verbose */

/* Appends to OUT. All text of the target is cleaned; the only control byte is the newline (and ESC of colours if asked). */
void table__print(const struct snapshot *s, const struct table_opts *opts, struct text *out);

#endif
