// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tls.h"

static __thread void *current;

/* As in the interpreter, and however this compiler does it here. */
static __attribute__((noinline, no_sanitize("address"))) void *get_current(void)
{
	return current;
}

static uint64_t fs_base(void)
{
	uint64_t self;

	__asm__("mov %%fs:0, %0" : "=r"(self));
	return self;
}

static void test_own_program(void **state __attribute__((unused)))
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)get_current;
	struct tls_access access = tls__decode(code, 40);

	current = &access;
	assert_ptr_equal(get_current(), &access);
	if (access.model == TLS_WORD) {
		memcpy(&access.value, code + access.value, sizeof(access.value));
		access.model = TLS_OFFSET;
	}
	assert_int_equal(access.model, TLS_OFFSET);
	assert_ptr_equal(fs_base() + access.value, &current);
}

struct sample {
	const char *bytes;
	size_t size;
	enum tls_model model;
	int64_t value;
	int32_t addend;
};
#define SAMPLE(bytes, ...) { bytes, sizeof(bytes) - 1, __VA_ARGS__ }

static const struct sample samples[] = {
	SAMPLE("\x64\x48\x8b\x04\x25\xf8\xff\xff\xff\xc3", TLS_OFFSET, -8, 0),
	SAMPLE("\xf3\x0f\x1e\xfa\x64\x48\x8b\x04\x25\xf0\xff\xff\xff\xc3", TLS_OFFSET, -16, 0),
	SAMPLE("\x55\x48\x89\xe5\x64\x48\x8b\x04\x25\xf0\xff\xff\xff\x5d\xc3", TLS_OFFSET, -16, 0),
	SAMPLE("\x48\xc7\xc0\xf8\xff\xff\xff\x64\x48\x8b\x00\xc3", TLS_OFFSET, -8, 0),
	SAMPLE("\x48\x83\xec\x08\x64\x48\x8b\x04\x25\0\0\0\0\x48\x8d\x80\xe8\xff\xff\xff\x48\x8b\x00\x48\x83\xc4\x08\xc3", TLS_OFFSET, -24, 0),
	SAMPLE("\x48\x8b\x05\x10\0\0\0\x64\x48\x8b\x00\xc3", TLS_WORD, 0x17, 0),
	SAMPLE("\x48\x83\xec\x08\x64\x48\x8b\x04\x25\0\0\0\0\x48\x03\x05\x10\0\0\0\x48\x8b\x00\x48\x83\xc4\x08\xc3", TLS_WORD, 0x24, 0),
	SAMPLE("\x48\x83\xec\x08\x66\x48\x8d\x3d\xf4\xc9\x26\0\x66\x66\x48\xe8\xdf\x10\xe3\xff\x48\x8b\x00\x48\x83\xc4\x08\xc3", TLS_INDEX, 0x26ca00, 0),
	SAMPLE("\x48\x83\xec\x08\x66\x48\x8d\x3d\x10\0\0\0\x66\x48\xff\x15\x01\x02\x03\x04\x48\x8b\x00\x48\x83\xc4\x08\xc3", TLS_INDEX, 0x1c, 0),
	SAMPLE("\x48\x83\xec\x08\x66\x66\x66\x64\x48\x8b\x04\x25\0\0\0\0\x48\x8b\x80\xf8\xff\xff\xff\x48\x83\xc4\x08\xc3", TLS_OFFSET, -8, 0),
	SAMPLE("\x48\x83\xec\x08\x48\x8d\x3d\x10\0\0\0\xe8\x01\x02\x03\x04\x48\x8b\x80\x18\0\0\0\x48\x83\xc4\x08\xc3", TLS_INDEX, 0x1b, 0x18),
	/* what does more than that: a field of what the variable points to, another segment, a call before */
	SAMPLE("\x64\x48\x8b\x04\x25\xf8\xff\xff\xff\x48\x8b\x40\x10\xc3", TLS_UNKNOWN, 0, 0),
	SAMPLE("\x65\x48\x8b\x04\x25\xf8\xff\xff\xff\xc3", TLS_UNKNOWN, 0, 0),
	SAMPLE("\xe8\x01\x02\x03\x04\x64\x48\x8b\x04\x25\xf8\xff\xff\xff\xc3", TLS_UNKNOWN, 0, 0),
	SAMPLE("\x48\x83\xec\x08", TLS_UNKNOWN, 0, 0),
	SAMPLE("\x64\x48\x8b\x04\x25\xf8\xff\xff\xff", TLS_UNKNOWN, 0, 0),
	SAMPLE("", TLS_UNKNOWN, 0, 0),
};

static void test_samples(void **state __attribute__((unused)))
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct tls_access access = tls__decode((const uint8_t *)s->bytes, s->size);

		assert_int_equal(access.model, s->model);
		assert_int_equal(access.value, s->value);
		assert_int_equal(access.addend, s->addend);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_program),
		cmocka_unit_test(test_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
