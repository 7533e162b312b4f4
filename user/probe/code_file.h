/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files that a process executes code from, opened when one of their functions is met. */
#ifndef CODE_FILE_H
#define CODE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "procfs.h"

struct elf_file;
struct py_interp;

#define CODE_FILES_MAX 8

struct code_file {
	char path[4096];       /* to be opened from here */
	struct elf_file *elf;
	uint64_t bias;         /* runtime address = file address + bias */
	uint64_t start, end;   /* where it is mapped */
	uint64_t dev, inode;
	bool interpreter;      /* the rest is what extensions and preloaded libraries brought */
};

struct code_files {
	struct proc_maps maps;
	struct code_file *files[CODE_FILES_MAX];
	size_t cnt;
};

/* 0 or -errno of reading the mappings. */
int code_files__open(struct code_files *f, pid_t pid);
/* Safe on zeroes. What code_files__at gave out is gone with it. */
void code_files__close(struct code_files *f);
/*
 * The file with the code at the runtime address ADDR. -EFAULT: there is no code; -ENOEXEC: it is in memory that is no file (made while
 * running); others: the file cannot be opened.
 */
int code_files__at(struct code_files *f, const struct py_interp *py, uint64_t addr, const struct code_file **out);
/* Does another process have the files beside the interpreter's at the same addresses? */
bool code_files__same(const struct code_files *f, pid_t pid);

#endif
