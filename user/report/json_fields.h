/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A key and its value, for all that is printed as JSON. */
#ifndef JSON_FIELDS_H
#define JSON_FIELDS_H

#include <stdint.h>

#include "json_writer.h"

void key__string(struct json_writer *w, const char *key, const char *value); /* NULL: null */
void key__int(struct json_writer *w, const char *key, int64_t value);
void key__int_if(struct json_writer *w, const char *key, bool known, int64_t value); /* else null */
void key__double_if(struct json_writer *w, const char *key, bool known, double value);
void key__uint(struct json_writer *w, const char *key, uint64_t value);
void key__double(struct json_writer *w, const char *key, double value);
/* UNIX_NS since 1970, as ISO 8601 in UTC to the millisecond. */
void key__time(struct json_writer *w, const char *key, uint64_t unix_ns);

#endif
