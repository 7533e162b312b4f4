// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "utf8.h"

void text__free(struct text *t)
{
	free(t->s);
	memset(t, 0, sizeof(*t));
}

void text__clear(struct text *t)
{
	t->len = 0;
	t->failed = false;
	if (t->s)
		t->s[0] = '\0';
}

/* Room for LEN more bytes and the NUL. */
static bool text__reserve(struct text *t, size_t len)
{
	size_t capacity = t->capacity ? t->capacity : 64;
	char *s;

	if (t->failed)
		return false;
	while (capacity <= t->len + len)
		capacity *= 2;
	if (capacity == t->capacity)
		return true;
	s = realloc(t->s, capacity);
	if (!s) {
		t->failed = true;
		return false;
	}
	t->s = s;
	t->capacity = capacity;
	return true;
}

void text__add(struct text *t, const char *s, size_t len)
{
	if (!text__reserve(t, len))
		return;
	if (len)
		memcpy(t->s + t->len, s, len);
	t->len += len;
	t->s[t->len] = '\0';
}

void text__addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0) {
		t->failed = true;
		return;
	}
	if (!text__reserve(t, (size_t)len))
		return;
	va_start(ap, fmt);
	vsnprintf(t->s + t->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)len;
}

size_t text__clean(char *out, size_t out_size, const char *in, size_t in_len)
{
	size_t len = 0, step;

	if (!out_size)
		return 0;
	for (size_t i = 0; i < in_len; i += step) {
		char piece[16];
		int piece_len;
		uint32_t c;

		step = utf8__decode(in + i, in_len - i, &c);
		if (!step) {
			piece_len = snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char)in[i]);
			step = 1;
		} else if (!utf8__is_unsafe(c)) {
			memcpy(piece, in + i, step);
			piece_len = (int)step;
		} else {
			piece_len = snprintf(piece, sizeof(piece), c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
		}
		if (len + (size_t)piece_len >= out_size)
			break;
		memcpy(out + len, piece, (size_t)piece_len);
		len += (size_t)piece_len;
	}
	out[len] = '\0';
	return len;
}

size_t text__columns(const char *s)
{
	size_t columns = 0, len = strlen(s), step;

	for (size_t i = 0; i < len; i += step) {
		uint32_t c;

		step = utf8__decode(s + i, len - i, &c);
		if (!step) {
			step = 1;
			columns++;
			continue;
		}
		columns += (size_t)utf8__width(c);
	}
	return columns;
}
