// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "tls.h"

#include <stdbool.h>
#include <string.h>

#include "elf_file.h"

enum {
	CODE_BYTES = 40,
	MODULES_MAX = 1024,
	STATIC_MAX = 1 << 20, /* what lies below a thread's FS base */
	GLIBC_DTV_BYTES = 16, /* dtv_t: address, what to free (sysdeps/generic/dl-dtv.h) */
	MUSL_DTV_BYTES = 8,
};

/* The linker rewrites what the compiler wrote for a library, when it links a program. */
static const struct pattern {
	enum tls_model model;
	const char *bytes, *mask; /* mask: x as given, a the value, b what is added to it, . any */
} patterns[] = {
	/* mov %fs:V,%rax */
	{ TLS_OFFSET, "\x64\x48\x8b\x04\x25....", "xxxxxaaaa" },
	/* mov $V,%rax; mov %fs:(%rax),%rax */
	{ TLS_OFFSET, "\x48\xc7\xc0....\x64\x48\x8b\x00", "xxxaaaaxxxx" },
	/* mov %fs:0,%rax; lea V(%rax),%rax; mov (%rax),%rax */
	{ TLS_OFFSET, "\x64\x48\x8b\x04\x25\0\0\0\0\x48\x8d\x80....\x48\x8b\x00", "xxxxxxxxxxxxaaaaxxx" },
	/* data16 data16 data16 mov %fs:0,%rax; mov V(%rax),%rax */
	{ TLS_OFFSET, "\x66\x66\x66\x64\x48\x8b\x04\x25\0\0\0\0\x48\x8b\x80....", "xxxxxxxxxxxxxxxaaaa" },
	/* mov V(%rip),%rax; mov %fs:(%rax),%rax */
	{ TLS_WORD, "\x48\x8b\x05....\x64\x48\x8b\x00", "xxxaaaaxxxx" },
	/* mov %fs:0,%rax; add V(%rip),%rax; mov (%rax),%rax */
	{ TLS_WORD, "\x64\x48\x8b\x04\x25\0\0\0\0\x48\x03\x05....\x48\x8b\x00", "xxxxxxxxxxxxaaaaxxx" },
	/* data16 lea V(%rip),%rdi; data16 data16 rex.W call; mov (%rax),%rax */
	{ TLS_INDEX, "\x66\x48\x8d\x3d....\x66\x66\x48\xe8....\x48\x8b\x00", "xxxxaaaaxxxx....xxx" },
	/* the same, called by way of the GOT */
	{ TLS_INDEX, "\x66\x48\x8d\x3d....\x66\x48\xff\x15....\x48\x8b\x00", "xxxxaaaaxxxx....xxx" },
	/* for a variable of that file: lea V(%rip),%rdi; call; mov A(%rax),%rax */
	{ TLS_INDEX, "\x48\x8d\x3d....\xe8....\x48\x8b\x80....", "xxxaaaax....xxxbbbb" },
	{ TLS_INDEX, "\x48\x8d\x3d....\xff\x15....\x48\x8b\x80....", "xxxaaaaxx....xxxbbbb" },
};

static bool starts_with(const uint8_t *code, size_t size, const char *bytes, size_t len)
{
	return size >= len && !memcmp(code, bytes, len);
}

/* endbr64; push %rbp; mov %rsp,%rbp; sub $N,%rsp or push %rax */
static size_t prologue_bytes(const uint8_t *code, size_t size)
{
	size_t at = 0;

	if (starts_with(code + at, size - at, "\xf3\x0f\x1e\xfa", 4))
		at += 4;
	if (starts_with(code + at, size - at, "\x55", 1))
		at += 1;
	if (starts_with(code + at, size - at, "\x48\x89\xe5", 3))
		at += 3;
	if (starts_with(code + at, size - at, "\x48\x83\xec", 3) && size - at >= 4)
		at += 4;
	else if (starts_with(code + at, size - at, "\x50", 1))
		at += 1;
	return at;
}

/* add $N,%rsp or pop %rcx; pop %rbp or leave; ret */
static bool returns(const uint8_t *code, size_t size)
{
	size_t at = 0;

	if (starts_with(code, size, "\x48\x83\xc4", 3) && size >= 4)
		at += 4;
	else if (starts_with(code, size, "\x59", 1))
		at++;
	if (at < size && (code[at] == 0x5d || code[at] == 0xc9))
		at++;
	return at < size && code[at] == 0xc3;
}

static bool matches(const struct pattern *p, const uint8_t *code, size_t size)
{
	size_t len = strlen(p->mask);

	if (size < len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (p->mask[i] == 'x' && code[i] != (uint8_t)p->bytes[i])
			return false;
	return returns(code + len, size - len);
}

/* The number that the mask has LETTER for; *END: where the next instruction begins. */
static int32_t number(const struct pattern *p, char letter, const uint8_t *code, size_t *end)
{
	const char *first = strchr(p->mask, letter);
	int32_t found = 0;

	if (!first)
		return 0;
	memcpy(&found, code + (first - p->mask), sizeof(found));
	*end = first - p->mask + sizeof(found);
	return found;
}

/* Some compilers take %rbp back before the last mov: as if it were after it. */
static void pop_last(uint8_t *code, size_t size)
{
	for (size_t at = 0; at + 1 < size; at++) {
		size_t len = starts_with(code + at, size - at, "\x5d\x48\x8b\x00", 4) ? 3 : 7;

		if ((len == 3 || starts_with(code + at, size - at, "\x5d\x48\x8b\x80", 4)) && at + len + 1 < size && code[at + len + 1] == 0xc3) {
			memmove(code + at, code + at + 1, len);
			code[at + len] = 0x5d;
			return;
		}
	}
}

struct tls_access tls__decode(const uint8_t *bytes, size_t size)
{
	struct tls_access out = { TLS_UNKNOWN, 0, 0 };
	uint8_t code[CODE_BYTES] = {};
	size_t start, end = 0;

	size = size < sizeof(code) ? size : sizeof(code);
	if (size)
		memcpy(code, bytes, size);
	pop_last(code, size);
	start = prologue_bytes(code, size);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		const struct pattern *p = &patterns[i];

		if (!matches(p, code + start, size - start))
			continue;
		out.model = p->model;
		out.addend = number(p, 'b', code + start, &end);
		out.value = number(p, 'a', code + start, &end);
		if (p->model != TLS_OFFSET)
			out.value += start + end;
		break;
	}
	return out;
}

static bool is_static(int64_t off)
{
	return off < 0 && off >= -STATIC_MAX && !(off & 7);
}

/* A thread's vector of blocks, one a module, is at its second word; those of modules that were there at the start are at fixed places. */
static int64_t off_in_block(const struct py_interp *py, uint64_t thread, uint64_t index_addr, int32_t addend)
{
	uint64_t index[2], dtv, entry[2];

	if (remote__read(&py->mem, index_addr, index, sizeof(index)) || !index[0] || index[0] > MODULES_MAX || index[1] > STATIC_MAX ||
	    remote__read_u64(&py->mem, thread + 8, &dtv))
		return 0;
	index[1] += addend;
	if (!remote__read(&py->mem, dtv + index[0] * GLIBC_DTV_BYTES, entry, sizeof(entry)) && !entry[1] &&
	    is_static(entry[0] + index[1] - thread))
		return entry[0] + index[1] - thread;
	if (!remote__read_u64(&py->mem, dtv + index[0] * MUSL_DTV_BYTES, &entry[0]) && is_static(entry[0] + index[1] - thread))
		return entry[0] + index[1] - thread;
	return 0;
}

static int64_t off_by_function(const struct py_interp *py, const char *function, uint64_t thread)
{
	const uint8_t *code;
	struct elf_sym sym;
	struct tls_access access;
	uint64_t word;

	if (elf_file__symbol(py->elf, function, &sym))
		return 0;
	code = elf_file__bytes(py->elf, sym.addr, CODE_BYTES);
	if (!code)
		return 0;
	access = tls__decode(code, CODE_BYTES);
	switch (access.model) {
	case TLS_OFFSET:
		return is_static(access.value) ? access.value : 0;
	case TLS_WORD:
		if (remote__read_u64(&py->mem, sym.addr + py->bias + access.value, &word))
			return 0;
		return is_static(word) ? (int64_t)word : 0;
	case TLS_INDEX:
		return off_in_block(py, thread, sym.addr + py->bias + access.value, access.addend);
	default:
		return 0;
	}
}

int64_t tls__current_tstate(const struct py_interp *py, uint64_t thread)
{
	/* 3.12; 3.13+; both, for the core itself */
	static const char *const functions[] = { "_PyThreadState_UncheckedGet", "PyThreadState_GetUnchecked", "_PyThreadState_GetCurrent" };
	int64_t off = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && !off; i++)
		off = off_by_function(py, functions[i], thread);
	return off;
}
