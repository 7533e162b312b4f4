// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdbool.h>

#include "code.h"

/* Hostile tables may count as far as they like: what is no line number is no line. */
static int to_line(int64_t line)
{
	return line > 0 && line <= INT_MAX ? (int)line : 0;
}

/* PyCode_Addr2Line() of Objects/codeobject.c, 2.7: pairs of (bytecode delta, line delta) */
int pyline__unsigned(const unsigned char *table, size_t size, int first_line, int lasti)
{
	int64_t line = first_line, addr = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		addr += table[i];
		if (addr > lasti)
			break;
		line += table[i + 1];
	}
	return to_line(line);
}

/* The same, 3.6-3.9: pairs of (bytecode delta, signed line delta) */
int pyline__lnotab(const unsigned char *table, size_t size, int first_line, int lasti)
{
	int64_t line = first_line, addr = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		addr += table[i];
		if (addr > lasti)
			break;
		line += (signed char)table[i + 1];
	}
	return to_line(line);
}

/* advance() of Objects/codeobject.c, 3.10: pairs of (length in bytes, signed line delta; -128: no line) */
int pyline__linetable310(const unsigned char *table, size_t size, int first_line, int lasti)
{
	int64_t line = first_line, end = 0;
	int delta;

	if (lasti < 0)
		return to_line(line);
	for (size_t i = 0; i + 1 < size; i += 2) {
		end += table[i];
		delta = (signed char)table[i + 1];
		if (delta != -128)
			line += delta;
		if (lasti < end)
			return delta == -128 ? 0 : to_line(line);
	}
	return 0;
}

enum location_code { /* pycore_code.h, 3.11+ */
	LOCATION_ONE_LINE_0 = 10,
	LOCATION_ONE_LINE_2 = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* Six bits a byte, the lowest first; bit 6 says that there is more. Stops at a byte that begins an entry. */
static int64_t read_svarint(const unsigned char *at, const unsigned char *end)
{
	uint64_t value = 0;

	for (int shift = 0; at < end && !(*at & 0x80) && shift < 36; shift += 6, at++) {
		value |= (uint64_t)(*at & 0x3f) << shift;
		if (!(*at & 0x40))
			break;
	}
	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

/* get_line_delta() of Objects/codeobject.c */
static int64_t line_delta(int code, const unsigned char *at, const unsigned char *end)
{
	if (code == LOCATION_NO_COLUMNS || code == LOCATION_LONG)
		return read_svarint(at, end);
	if (code >= LOCATION_ONE_LINE_0 && code <= LOCATION_ONE_LINE_2)
		return code - LOCATION_ONE_LINE_0;
	return 0;
}

int pyline__locations(const unsigned char *table, size_t size, int first_line, int lasti)
{
	const unsigned char *at = table, *end = table + size;
	int64_t line = first_line, addr = 0;
	int code;

	if (lasti < 0)
		return to_line(line);
	while (at < end) {
		code = *at >> 3 & 0xf;
		addr += 2 * ((*at & 7) + 1);
		at++;
		line += line_delta(code, at, end);
		if (lasti < addr)
			return code == LOCATION_NONE ? 0 : to_line(line);
		while (at < end && !(*at & 0x80))
			at++;
	}
	return 0;
}
