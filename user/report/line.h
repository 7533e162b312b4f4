/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines for a terminal: foreign text cleaned, cut to columns, never wider than asked. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_ALARM, STYLE_WARNING };

struct lines {
	struct text *out;
	struct text line; /* being built */
	int width;        /* 0: no limit */
	bool color;
};

void lines__free(struct lines *l);
/* Ends the line: cuts it to the width and appends it. */
void lines__end(struct lines *l, enum style style);
/* Appends raw text of the target, cleaned. */
void lines__foreign(struct lines *l, const char *raw, size_t len);
/* Columns of the line so far; what is left of the width (SIZE_MAX: no limit). */
size_t lines__columns(const struct lines *l);
size_t lines__left(const struct lines *l);

/* At most COLUMNS of clean text S: the start, or the end, with an ellipsis for what was cut. */
void text__add_start(struct text *t, const char *s, size_t columns);
void text__add_end(struct text *t, const char *s, size_t columns);
/* Raw bytes to clean text of any length. */
void text__add_clean(struct text *t, const char *raw, size_t len);

#endif
