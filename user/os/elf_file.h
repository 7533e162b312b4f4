/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An ELF file (libelf): symbols, segments, bytes at a virtual address, USDT notes. x86-64 LE only; hostile input. */
#ifndef ELF_FILE_H
#define ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file; /* opaque */

/* -ENOEXEC: no ELF of this machine; other -errno from open. */
int elf_file__open(const char *path, struct elf_file **out);
void elf_file__close(struct elf_file *f);
/* Gives back the memory that reading has made resident; it comes back when it is needed. */
void elf_file__trim(const struct elf_file *f);

struct elf_sym {
	uint64_t addr; /* virtual address in the file's own numbering */
	uint64_t size; /* 0: unknown */
};
/* .symtab first, then .dynsym. Versioned names match without their version. -ENOENT. */
int elf_file__symbol(const struct elf_file *f, const char *name, struct elf_sym *out);

/* The name of the function that ADDR is in, from either table; points into the mapping. NULL: none. */
const char *elf_file__function_at(const struct elf_file *f, uint64_t addr);

struct elf_segment {
	uint64_t addr, file_off, file_size, mem_size;
	bool r, w, x;
};
size_t elf_file__segments(const struct elf_file *f, const struct elf_segment **out); /* PT_LOAD only */
/* Virtual address <-> file offset; -ERANGE when outside any PT_LOAD's file part. */
int elf_file__addr_to_off(const struct elf_file *f, uint64_t addr, uint64_t *off);
int elf_file__off_to_addr(const struct elf_file *f, uint64_t off, uint64_t *addr);
/* Bytes of the file at a virtual address; points into the mapping, good until close. NULL if not all there. */
const void *elf_file__bytes(const struct elf_file *f, uint64_t addr, size_t size);

/* Does it need (DT_NEEDED) a library whose file name begins with PREFIX? */
bool elf_file__needs(const struct elf_file *f, const char *prefix);

struct usdt_note {
	uint64_t addr;           /* of the nop, corrected for prelink by .stapsdt.base */
	uint64_t semaphore_addr; /* 0: none */
	char args[64];
};
int elf_file__usdt(const struct elf_file *f, const char *provider, const char *name, struct usdt_note *out); /* -ENOENT */

#endif
