/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the notes of an ELF core say of its process: fs/binfmt_elf.c of Linux, include/uapi/linux/elfcore.h, x86-64. gdb's gcore writes the same ones.
 * Hostile input: what makes no sense is left out.
 */
#ifndef CORE_NOTES_H
#define CORE_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* NT_FILE: a part of a file that was mapped. */
struct core_mapping {
	uint64_t start, end, file_off;
	const char *path; /* as the process saw it, " (deleted)" cut off; raw */
	bool deleted;
};

struct core_notes {
	size_t seen_cnt; /* of any kind */
	pid_t pid, ppid; /* 0: unknown */
	uid_t uid;
	char comm[17];   /* raw; empty: unknown */
	uint64_t *stack_pointers; /* of its threads */
	size_t thread_cnt;
	uint64_t phdr_addr;   /* AT_PHDR: in the executable; 0: unknown */
	uint64_t random_addr; /* AT_RANDOM: in the main thread's stack; 0: unknown */
	struct core_mapping *mappings; /* by address, none overlaps another */
	size_t mapping_cnt;
	char *text; /* owned; paths are in it */
};

/* Those in [OFF, OFF + SIZE) of a file, added to OUT, which begins as zeros. 0, -ENOMEM, or -EIO. What is behind the file's end is not there. */
int core_notes__read(int fd, uint64_t off, uint64_t size, struct core_notes *out);
void core_notes__free(struct core_notes *n);

#endif
