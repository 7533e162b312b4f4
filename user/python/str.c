// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "str.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "python.h"
#include "type.h"
#include "utf8.h"

enum {
	HEADER_BYTES = 80, /* PyUnicodeObject, the largest form */
	CHUNK_BYTES = 1024,
};

/* PyASCIIObject.state: interned:2, kind:3, compact:1, ascii:1, ready:1 (to 3.11) */
struct str_form {
	unsigned int kind; /* bytes per character */
	uint64_t data, length;
};

static uint64_t field(const unsigned char *header, uint32_t off)
{
	uint64_t value;

	memcpy(&value, header + off, sizeof(value));
	return value;
}

/* Reads what the object has: a short ASCII str at the end of a mapping is smaller than the largest header. */
static int read_header(const struct py_interp *py, uint64_t addr, unsigned char *header)
{
	int err = remote__read(&py->mem, addr, header, HEADER_BYTES);

	if (err != -EFAULT)
		return err;
	memset(header, 0, HEADER_BYTES);
	return py->layout->str_ascii_size > HEADER_BYTES ? err : remote__read(&py->mem, addr, header, py->layout->str_ascii_size);
}

static int decode_header(const struct py_interp *py, uint64_t addr, const unsigned char *header, struct str_form *out)
{
	const struct py_layout *l = py->layout;
	uint32_t state;
	bool compact, ascii;

	if (l->str_state + 4 > HEADER_BYTES || l->str_length + 8 > HEADER_BYTES || l->str_data + 8 > HEADER_BYTES ||
	    (l->str_wstr != NO_OFF && (l->str_wstr + 8 > HEADER_BYTES || l->str_wstr_length + 8 > HEADER_BYTES)))
		return -EFAULT;
	memcpy(&state, header + l->str_state, sizeof(state));
	compact = state >> 5 & 1;
	ascii = state >> 6 & 1;
	out->kind = state >> 2 & 7;
	out->length = field(header, l->str_length);
	if (compact)
		out->data = addr + (ascii ? l->str_ascii_size : l->str_compact_size);
	else
		out->data = field(header, l->str_data);
	if (!out->kind && l->str_wstr != NO_OFF) {
		/* PyUnicode_WCHAR_KIND: made by the old C API and not "ready" yet. */
		out->kind = sizeof(wchar_t);
		out->data = field(header, l->str_wstr);
		out->length = field(header, l->str_wstr_length);
	}
	if (out->kind != 1 && out->kind != 2 && out->kind != 4)
		return -EFAULT;
	return out->length <= INT64_MAX ? 0 : -EFAULT;
}

/* UTF-8 or an escape for one code point; returns its bytes. */
static size_t encode(uint32_t c, char out[8])
{
	if (!c || (c >= 0xd800 && c < 0xe000))
		return sprintf(out, c ? "\\u%04x" : "\\x%02x", c);
	if (c < 0x80) {
		out[0] = c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	if (c > 0x10ffff)
		return encode(0xfffd, out);
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 0x3f);
	out[2] = 0x80 | (c >> 6 & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}

static uint32_t character(const unsigned char *bytes, unsigned int kind, size_t i)
{
	uint16_t two;
	uint32_t four;

	if (kind == 1)
		return bytes[i];
	if (kind == 2) {
		memcpy(&two, bytes + 2 * i, 2);
		return two;
	}
	memcpy(&four, bytes + 4 * i, 4);
	return four;
}

struct sink {
	char *out;
	size_t len, size;
	bool full;
};

static void add_chunk(struct sink *s, const unsigned char *bytes, unsigned int kind, size_t cnt)
{
	char one[8];
	size_t n;

	for (size_t i = 0; i < cnt && !s->full; i++) {
		n = encode(character(bytes, kind, i), one);
		s->full = n >= s->size - s->len;
		if (s->full)
			break;
		memcpy(s->out + s->len, one, n);
		s->len += n;
	}
}

static int read_text(const struct py_interp *py, const struct str_form *form, char *out, size_t out_size)
{
	struct sink s = { .out = out, .size = out_size };
	unsigned char bytes[CHUNK_BYTES];
	uint64_t max = form->length < out_size ? form->length : out_size, cnt;
	int err = 0;

	for (uint64_t i = 0; i < max && !s.full && !err; i += cnt) {
		cnt = max - i < CHUNK_BYTES / form->kind ? max - i : CHUNK_BYTES / form->kind;
		err = remote__read(&py->mem, form->data + i * form->kind, bytes, cnt * form->kind);
		if (!err)
			add_chunk(&s, bytes, form->kind, cnt);
	}
	out[s.len] = '\0';
	return err;
}

/* A character's text, or the byte's where there is none; returns the bytes of IN that it is for. */
static size_t encode_bytes(const char *in, size_t len, char out[8], size_t *out_len)
{
	uint32_t c;
	size_t n = utf8__decode(in, len, &c);

	if (!n || !*in) {
		*out_len = sprintf(out, "\\x%02x", (unsigned char)*in);
		return 1;
	}
	memcpy(out, in, n);
	*out_len = n;
	return n;
}

/* PyStringObject, 2.7 */
static int read_byte_text(const struct py_interp *py, uint64_t addr, const unsigned char *header, char *out, size_t out_size)
{
	const struct py_layout *l = py->layout;
	uint64_t size = field(header, l->str_length);
	size_t len = 0, n;
	char *bytes, one[8];
	int err;

	if (size > INT64_MAX)
		return -EFAULT;
	if (size > out_size)
		size = out_size;
	bytes = malloc(size + 1);
	if (!bytes)
		return -ENOMEM;
	err = remote__read(&py->mem, addr + l->str_ascii_size, bytes, size);
	for (size_t i = 0; !err && i < size;) {
		i += encode_bytes(bytes + i, size - i, one, &n);
		if (n >= out_size - len)
			break;
		memcpy(out + len, one, n);
		len += n;
	}
	out[len] = '\0';
	free(bytes);
	return err;
}

int py_str__read(const struct py_interp *py, uint64_t addr, char *out, size_t out_size)
{
	unsigned char header[HEADER_BYTES];
	struct type_info type;
	struct str_form form;
	int err;

	if (!out_size)
		return -EINVAL;
	out[0] = '\0';
	err = read_header(py, addr, header);
	if (err)
		return err;
	if (field(header, 8) != py->types.str) {
		err = type_info__read(py, field(header, 8), &type);
		if (err)
			return err;
		if (!(type.flags & (py->layout->str_state == NO_OFF ? TYPE_STRING_SUBCLASS : TYPE_STR_SUBCLASS)))
			return -EFAULT;
	}
	if (py->layout->str_state == NO_OFF)
		return read_byte_text(py, addr, header, out, out_size);
	err = decode_header(py, addr, header, &form);
	return err ? err : read_text(py, &form, out, out_size);
}

int py_str__dup(const struct py_interp *py, uint64_t addr, size_t max, char **out)
{
	char *text = malloc(max), *smaller;
	int err;

	if (!text)
		return -ENOMEM;
	err = py_str__read(py, addr, text, max);
	if (err) {
		free(text);
		return err;
	}
	smaller = realloc(text, strlen(text) + 1);
	*out = smaller ? smaller : text;
	return 0;
}

int py_cstr__read(const struct py_interp *py, uint64_t addr, char *out, size_t out_size)
{
	size_t len = 0, n;
	int err;

	if (!out_size)
		return -EINVAL;
	while (len < out_size - 1) {
		/* Not over the end of a page: the next one may not be there. */
		n = 256 - (addr + len) % 256;
		if (n > out_size - 1 - len)
			n = out_size - 1 - len;
		err = remote__read(&py->mem, addr + len, out + len, n);
		if (err)
			return err;
		if (memchr(out + len, '\0', n))
			return 0;
		len += n;
	}
	out[len] = '\0';
	return 0;
}
