/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UTF-8 of unknown origin, one character at a time. Independent of the locale. */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The character at S (LEN > 0 bytes left) into *C; returns its bytes. 0: the byte at S is invalid there (also for overlong
 * forms, surrogates, beyond U+10FFFF, cut short).
 */
size_t utf8__decode(const char *s, size_t len, uint32_t *c);
/* At most 4 bytes, no NUL; returns how many. */
size_t utf8__encode(char out[4], uint32_t c);
/* Controls, bidi and other format characters, characters that look like nothing: what no terminal should get. */
bool utf8__is_unsafe(uint32_t c);
/* Columns on a terminal: 0, 1 or 2. Where terminals differ the larger, so that lines never wrap. */
int utf8__width(uint32_t c);

#endif
