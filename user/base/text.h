/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text: a growing buffer, cleaning of foreign text, and the units people type and read. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *s; /* always NUL-terminated once something was added; may be NULL when empty */
	size_t len, capacity;
	bool failed; /* an allocation failed: what is in here is incomplete */
};

void text__free(struct text *t);
void text__clear(struct text *t);
void text__add(struct text *t, const char *s, size_t len);
void text__addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Copies UTF-8 of unknown origin so that it cannot drive a terminal: C0/C1 controls, bidi overrides, other
 * zero-width format characters and invalid bytes become escapes like \x1b or \u202e. At most OUT_SIZE bytes, NUL
 * included, cut at a character. Returns the length written.
 */
size_t text__clean(char *out, size_t out_size, const char *in, size_t in_len);
/* Columns a terminal uses for this (cleaned) UTF-8 text. */
size_t text__columns(const char *s);

/* "1.5MiB", "512", "10k" -> bytes; "5", "2.5s", "500ms", "10m", "1h" -> seconds. 0 or -EINVAL/-ERANGE. */
int units__parse_bytes(const char *s, uint64_t *bytes);
int units__parse_seconds(const char *s, double *seconds);
/* "1.2 MiB", "512 B", "-3.0 KiB": at most 11 characters. Returns OUT. */
char *units__format_bytes(char out[16], double bytes);
/* "45 s", "1 h 20 min", "3 d 4 h", "over a year", "never" for what is not finite: at most 12 characters. Returns OUT. */
char *units__format_seconds(char out[32], double seconds);

#endif
