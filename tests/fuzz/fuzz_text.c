// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What leaves the program: cleaned text and JSON of any bytes; and the units that people type. */
#include <math.h>

#include "../unit/report/json_reader.h"
#include "input.h"
#include "json_writer.h"
#include "text.h"
#include "utf8.h"

static void must_be_safe(const char *s, size_t len)
{
	uint32_t c;
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		step = utf8__decode(s + i, len - i, &c);
		must(step && !utf8__is_unsafe(c));
	}
}

static void clean(const struct input *in, size_t out_size)
{
	char *bytes = input__bytes(in), *out = malloc(out_size), *again = malloc(out_size);
	size_t len;

	must(out && again);
	len = text__clean(out, out_size, bytes, in->left);
	must(len < out_size && strlen(out) == len);
	must_be_safe(out, len);
	must(text__columns(out) <= 2 * len);
	/* What is clean stays as it is. */
	must(text__clean(again, out_size, out, len) == len && !memcmp(again, out, len));
	free(bytes);
	free(out);
	free(again);
}

/* No control character, no line end, and all of it UTF-8. */
static void must_be_one_line(const struct text *json)
{
	uint32_t c;
	size_t step;

	for (size_t i = 0; i < json->len; i += step) {
		step = utf8__decode(json->s + i, json->len - i, &c);
		must(step && c >= 0x20 && (c < 0x7f || c >= 0xa0) && c != 0x2028 && c != 0x2029);
	}
}

static void write_json(struct input *in)
{
	struct text out = { 0 };
	struct json_writer w = json__to(&out);
	const char *at;
	struct node *node;
	union {
		uint64_t bits;
		double value;
	} number = { input__number(in, 8) };
	char *bytes = input__bytes(in);

	json__object_begin(&w);
	json__key(&w, "n");
	json__double(&w, number.value);
	json__key(&w, "i");
	json__int(&w, (int64_t)number.bits);
	json__key(&w, "s");
	json__array_begin(&w);
	json__bytes(&w, bytes, in->left / 2);
	json__bytes(&w, bytes + in->left / 2, in->left - in->left / 2);
	json__array_end(&w);
	json__object_end(&w);
	must(!out.failed);
	must_be_one_line(&out);
	at = out.s;
	node = node__read(&at);
	must(node && !*at);
	if (isfinite(number.value))
		must(strtod(node__get(node, "n")->text, NULL) == number.value);
	node__free(node);
	text__free(&out);
	free(bytes);
}

static void parse_units(const struct input *in)
{
	char *text = input__text(in), out[32];
	uint64_t bytes;
	double seconds;

	if (!units__parse_bytes(text, &bytes))
		must(strlen(units__format_bytes(out, bytes)) <= 11);
	if (!units__parse_seconds(text, &seconds))
		must(seconds >= 0 && seconds <= 1e9 && strlen(units__format_seconds(out, seconds)) <= 12);
	free(text);
}

static void format_units(struct input *in)
{
	union {
		uint64_t bits;
		double value;
	} number = { input__number(in, 8) };
	char out[32];

	must(strlen(units__format_bytes(out, number.value)) <= 11);
	must(strlen(units__format_seconds(out, number.value)) <= 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t what = input__number(&in, 1);

	if (what % 4 == 0)
		clean(&in, 1 + input__number(&in, 1));
	else if (what % 4 == 1)
		write_json(&in);
	else if (what % 4 == 2)
		parse_units(&in);
	else
		format_units(&in);
	return 0;
}
