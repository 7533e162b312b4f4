// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "json_fields.h"

#include <stdio.h>
#include <time.h>

void key__string(struct json_writer *w, const char *key, const char *value)
{
	json__key(w, key);
	json__string(w, value);
}

void key__int(struct json_writer *w, const char *key, int64_t value)
{
	json__key(w, key);
	json__int(w, value);
}

void key__uint(struct json_writer *w, const char *key, uint64_t value)
{
	json__key(w, key);
	json__uint(w, value);
}

void key__double(struct json_writer *w, const char *key, double value)
{
	json__key(w, key);
	json__double(w, value);
}

void key__time(struct json_writer *w, const char *key, uint64_t unix_ns)
{
	char date[40] = "", out[48];
	time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, sizeof(out), "%s.%03uZ", date, (unsigned int)(unix_ns / 1000000 % 1000));
	key__string(w, key, out);
}

void key__int_if(struct json_writer *w, const char *key, bool known, int64_t value)
{
	json__key(w, key);
	if (known)
		json__int(w, value);
	else
		json__null(w);
}

void key__double_if(struct json_writer *w, const char *key, bool known, double value)
{
	json__key(w, key);
	if (known)
		json__double(w, value);
	else
		json__null(w);
}
