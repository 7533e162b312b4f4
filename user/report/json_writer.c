// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_writer.h"
#include "text.h"
#include "utf8.h"

struct json_writer json__to(struct text *out)
{
	return (struct json_writer){.out = out};
}

static void json__separate(struct json_writer *w)
{
	if (w->comma)
		text__add(w->out, ",", 1);
	w->comma = true;
}

static void json__open(struct json_writer *w, const char *bracket)
{
	json__separate(w);
	text__add(w->out, bracket, 1);
	w->comma = false;
}

static void json__close(struct json_writer *w, const char *bracket)
{
	text__add(w->out, bracket, 1);
	w->comma = true;
}

static void json__raw(struct json_writer *w, const char *s)
{
	json__separate(w);
	text__add(w->out, s, strlen(s));
}

void json__object_begin(struct json_writer *w)
{
	json__open(w, "{");
}

void json__object_end(struct json_writer *w)
{
	json__close(w, "}");
}

void json__array_begin(struct json_writer *w)
{
	json__open(w, "[");
}

void json__array_end(struct json_writer *w)
{
	json__close(w, "]");
}

void json__key(struct json_writer *w, const char *key)
{
	json__string(w, key);
	text__add(w->out, ":", 1);
	w->comma = false;
}

void json__string(struct json_writer *w, const char *s)
{
	if (s)
		json__bytes(w, s, strlen(s));
	else
		json__null(w);
}

static void json__char(struct text *out, const char *s, size_t size, uint32_t c)
{
	if (!size)
		text__add(out, "\xef\xbf\xbd", 3);
	else if (c == '"' || c == '\\')
		text__addf(out, "\\%c", (char)c);
	else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
		text__addf(out, "\\u%04x", c);
	else
		text__add(out, s, size);
}

void json__bytes(struct json_writer *w, const char *s, size_t len)
{
	json__separate(w);
	text__add(w->out, "\"", 1);
	for (size_t i = 0; i < len;) {
		uint32_t c = 0;
		size_t size = utf8__decode(s + i, len - i, &c);

		json__char(w->out, s + i, size, c);
		i += size ? size : 1;
	}
	text__add(w->out, "\"", 1);
}

void json__int(struct json_writer *w, int64_t value)
{
	json__separate(w);
	text__addf(w->out, "%" PRId64, value);
}

void json__uint(struct json_writer *w, uint64_t value)
{
	json__separate(w);
	text__addf(w->out, "%" PRIu64, value);
}

void json__double(struct json_writer *w, double value)
{
	char s[40];

	if (!isfinite(value)) {
		json__null(w);
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, value);
		/* a program that sets a locale would write 0,5 */
		for (char *p = s; *p; p++)
			if (*p == ',')
				*p = '.';
		if (strtod(s, NULL) == value)
			break;
	}
	json__raw(w, s);
}

void json__bool(struct json_writer *w, bool value)
{
	json__raw(w, value ? "true" : "false");
}

void json__null(struct json_writer *w)
{
	json__raw(w, "null");
}
