/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A fuzzer's bytes, taken from the front. What is not there is 0. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

/* SIZE bytes, at most 8, the lowest first. */
static inline uint64_t input__number(struct input *in, size_t size)
{
	uint64_t value = 0;

	if (size > in->left)
		size = in->left;
	memcpy(&value, in->at, size);
	in->at += size;
	in->left -= size;
	return value;
}

/* All that is left in memory of just that size, NUL-terminated, so that a sanitizer sees a step too far. Owned by the caller. */
static inline char *input__text(const struct input *in)
{
	char *text = malloc(in->left + 1);

	if (!text)
		abort();
	memcpy(text, in->at, in->left);
	text[in->left] = '\0';
	return text;
}

/* The same without a NUL. Never NULL, even for nothing. */
static inline void *input__bytes(const struct input *in)
{
	void *bytes = malloc(in->left ? in->left : 1);

	if (!bytes)
		abort();
	memcpy(bytes, in->at, in->left);
	return bytes;
}

/* A promise of the code under test: as an assertion, but never compiled out. */
#define must(condition) ((condition) ? (void)0 : abort())

#endif
