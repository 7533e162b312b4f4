/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words in bytes that were copied from elsewhere, whatever their alignment. */
#ifndef WORD_H
#define WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The 8 bytes from OFF on. */
static inline uint64_t word(const void *bytes, size_t off)
{
	uint64_t value;

	memcpy(&value, (const char *)bytes + off, sizeof(value));
	return value;
}

#endif
