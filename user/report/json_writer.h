/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Streaming JSON into a struct text: commas, quotes and escapes are its business, structure is the caller's. */
#ifndef JSON_WRITER_H
#define JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

struct json_writer {
	struct text *out;
	bool comma; /* the next value or key needs one before it */
};

struct json_writer json__to(struct text *out);

void json__object_begin(struct json_writer *w);
void json__object_end(struct json_writer *w);
void json__array_begin(struct json_writer *w);
void json__array_end(struct json_writer *w);
void json__key(struct json_writer *w, const char *key);

/* NULL becomes null. Bytes that are no UTF-8 become U+FFFD; controls, DEL and what could break a line are escaped. */
void json__string(struct json_writer *w, const char *s);
void json__bytes(struct json_writer *w, const char *s, size_t len);
void json__int(struct json_writer *w, int64_t value);
void json__uint(struct json_writer *w, uint64_t value);
/* The shortest text that reads back as the same double; NaN and infinities become null. */
void json__double(struct json_writer *w, double value);
void json__bool(struct json_writer *w, bool value);
void json__null(struct json_writer *w);

#endif
