/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code objects and their line tables. */
#ifndef CODE_H
#define CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct py_interp;

struct py_code {
	char *filename; /* UTF-8 (surrogates as \udcXX text), raw, at most 4096 bytes; never NULL */
	char *name;     /* co_qualname from 3.11 on, co_name before */
	int first_line;
	int first_traceable; /* byte offset; before it a frame is being set up and counts as not there (3.11+, else 0) */
	unsigned char *line_table; /* co_lnotab to 3.9, co_linetable from 3.10 */
	size_t line_table_size;    /* at most 1 MiB */
	int line_format; /* enum line_format of layout.h */
	int64_t bytecode_bytes; /* 3.11+, else 0 */
	uint64_t bytecode;      /* address of the bytes object that has it, to 3.10, else 0 */
	uint64_t identity; /* a hash of the fields that tell this code object from another one later at the same address */
};

/*
 * Reads the code object at ADDR. -EFAULT: not (or no longer) a code object: its type must be the interpreter's code
 * type and each field must be plausible. On success CODE is owned by the caller.
 */
int py_code__read(const struct py_interp *py, uint64_t addr, struct py_code *code);
void py_code__free(struct py_code *code);

/*
 * The line that is executed at LASTI, a byte offset into the bytecode (also for 3.10, whose f_lasti counts units:
 * the BPF side has doubled it). LASTI < 0: not started, the first line. Returns 0 where the table says "no line".
 */
int py_code__line(const struct py_code *code, int lasti);

/*
 * Can a frame stand at LASTI? It is in the code; to 3.10, where the code is read for it, the instruction is one that may call (a frame that
 * has called: OUTER) or allocate. Some frames of each program may stand elsewhere (destructors, signals), most may not. 1, 0, or -errno: cannot be read.
 */
int py_code__position(const struct py_interp *py, const struct py_code *code, int lasti, bool outer);

/* Pure decoders, one per format: bytes in, line out. */
int pyline__unsigned(const unsigned char *table, size_t size, int first_line, int lasti);    /* 2.7 */
int pyline__lnotab(const unsigned char *table, size_t size, int first_line, int lasti);      /* 3.6-3.9 */
int pyline__linetable310(const unsigned char *table, size_t size, int first_line, int lasti); /* PEP 626 */
int pyline__locations(const unsigned char *table, size_t size, int first_line, int lasti);   /* 3.11+ */

#endif
