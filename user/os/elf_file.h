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
/* One more owner: closed when all have closed it. */
struct elf_file *elf_file__ref(struct elf_file *f);
void elf_file__close(struct elf_file *f);
/* By device and inode. */
bool elf_file__same(const struct elf_file *a, const struct elf_file *b);

struct elf_sym {
	uint64_t addr; /* virtual address in the file's own numbering */
	uint64_t size; /* 0: unknown */
};
/* .symtab first, then .dynsym. Versioned names match without their version. -ENOENT. */
int elf_file__symbol(const struct elf_file *f, const char *name, struct elf_sym *out);

/* Virtual address of a word that the dynamic linker fills with the address of the imported NAME (a GOT entry). -ENOENT. */
int elf_file__import(const struct elf_file *f, const char *name, uint64_t *slot_addr);

/* The name of the function that ADDR is in, from either table; points into the mapping. NULL: none. */
const char *elf_file__function_at(const struct elf_file *f, uint64_t addr);

struct elf_segment {
	uint64_t addr, file_off, file_size, mem_size;
	bool r, w, x;
};
size_t elf_file__segments(const struct elf_file *f, const struct elf_segment **out); /* PT_LOAD only */
/* The one whose file part a virtual address is in; NULL: none. */
const struct elf_segment *elf_file__segment_at(const struct elf_file *f, uint64_t addr);
/*
 * What the loader added to the file's virtual addresses, told by an executable mapping of it: at START, from FILE_OFF on. -ENOEXEC: no
 * executable segment is mapped like that.
 */
int elf_file__bias(const struct elf_file *f, uint64_t start, uint64_t file_off, uint64_t *bias);
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
