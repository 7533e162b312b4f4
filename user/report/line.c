// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdint.h>
#include <string.h>

#include "line.h"
#include "utf8.h"

#define ELLIPSIS "…"

void lines__free(struct lines *l)
{
	text__free(&l->line);
}

void lines__end(struct lines *l, enum style style)
{
	static const char *const sgr[] = {
		[STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m", [STYLE_ALARM] = "\033[1;31m", [STYLE_WARNING] = "\033[33m",
	};
	const char *s = l->line.s ? l->line.s : "";
	bool colored = l->color && style != STYLE_PLAIN && *s;

	if (colored)
		text__add(l->out, sgr[style], strlen(sgr[style]));
	text__add_start(l->out, s, l->width ? (size_t)l->width : SIZE_MAX);
	if (colored)
		text__add(l->out, "\033[0m", 4);
	text__add(l->out, "\n", 1);
	l->out->failed |= l->line.failed;
	text__clear(&l->line);
}

void text__add_clean(struct text *t, const char *raw, size_t len)
{
	while (len) {
		char clean[512];
		/* an escape takes up to 10 bytes for one; pieces end where a character does */
		size_t piece = len < 48 ? len : 48;

		while (piece < len && piece > 44 && ((unsigned char)raw[piece] & 0xc0) == 0x80)
			piece--;
		text__add(t, clean, text__clean(clean, sizeof(clean), raw, piece));
		raw += piece;
		len -= piece;
	}
}

void lines__foreign(struct lines *l, const char *raw, size_t len)
{
	text__add_clean(&l->line, raw, len);
}

size_t lines__columns(const struct lines *l)
{
	return l->line.s ? text__columns(l->line.s) : 0;
}

size_t lines__left(const struct lines *l)
{
	size_t used = lines__columns(l);

	if (!l->width)
		return SIZE_MAX;
	return used < (size_t)l->width ? (size_t)l->width - used : 0;
}

static size_t char_size(const char *s, size_t *columns)
{
	uint32_t c;
	size_t size = utf8__decode(s, strlen(s) < 4 ? strlen(s) : 4, &c);

	*columns = size ? (size_t)utf8__width(c) : 1;
	return size ? size : 1;
}

void text__add_start(struct text *t, const char *s, size_t columns)
{
	size_t len = 0, used = 0, wide;

	if (columns == SIZE_MAX || text__columns(s) <= columns) {
		text__add(t, s, strlen(s));
		return;
	}
	if (!columns)
		return;
	while (s[len]) {
		size_t size = char_size(s + len, &wide);

		if (used + wide > columns - 1)
			break;
		used += wide;
		len += size;
	}
	text__add(t, s, len);
	text__add(t, ELLIPSIS, strlen(ELLIPSIS));
}

void text__add_end(struct text *t, const char *s, size_t columns)
{
	size_t total = text__columns(s), wide;

	if (columns == SIZE_MAX || total <= columns) {
		text__add(t, s, strlen(s));
		return;
	}
	if (!columns)
		return;
	while (*s && total > columns - 1) {
		s += char_size(s, &wide);
		total -= wide;
	}
	text__add(t, ELLIPSIS, strlen(ELLIPSIS));
	text__add(t, s, strlen(s));
}
