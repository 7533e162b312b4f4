// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "python.h"
#include "str.h"

enum {
	CODE_MAX_BYTES = 256,
	TEXT_MAX_BYTES = 4096,
	TABLE_MAX_BYTES = 1 << 20,
};

static uint64_t word(const void *bytes, uint32_t off)
{
	uint64_t value;

	memcpy(&value, (const char *)bytes + off, sizeof(value));
	return value;
}

/* PyBytesObject: ob_size at 16, ob_sval at 32 */
static int read_bytes(const struct py_interp *py, uint64_t addr, struct py_code *code)
{
	uint64_t size;
	int err;

	err = remote__read_u64(&py->mem, addr + 16, &size);
	if (err)
		return err;
	if (size > TABLE_MAX_BYTES)
		return -EFAULT;
	code->line_table = malloc(size + 1);
	if (!code->line_table)
		return -ENOMEM;
	code->line_table_size = size;
	return remote__read(&py->mem, addr + 32, code->line_table, size);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3; /* FNV-1a */
	return hash;
}

/* By content: what was put at the same address may have got its strings at the same addresses, too. */
static uint64_t identify(const struct py_code *code)
{
	uint64_t hash = 0xcbf29ce484222325;

	hash = hash_bytes(hash, code->filename, strlen(code->filename) + 1);
	hash = hash_bytes(hash, code->name, strlen(code->name) + 1);
	hash = hash_bytes(hash, &code->first_line, sizeof(code->first_line));
	return hash_bytes(hash, code->line_table, code->line_table_size);
}

int py_code__read(const struct py_interp *py, uint64_t addr, struct py_code *code)
{
	const struct py_layout *l = py->layout;
	unsigned char bytes[CODE_MAX_BYTES];
	int err;

	*code = (struct py_code){ .minor = py->minor };
	if (l->code_size > sizeof(bytes))
		return -EINVAL;
	err = remote__read(&py->mem, addr, bytes, l->code_size);
	if (err)
		return err;
	if (!py->types.code || word(bytes, 8) != py->types.code)
		return -EFAULT;
	memcpy(&code->first_line, bytes + l->code_first_line, sizeof(code->first_line));
	if (l->code_first_traceable != NO_OFF) {
		memcpy(&code->first_traceable, bytes + l->code_first_traceable, sizeof(code->first_traceable));
		code->first_traceable *= 2; /* was in code units */
	}
	err = py_str__dup(py, word(bytes, l->code_filename), TEXT_MAX_BYTES, &code->filename);
	if (!err)
		err = py_str__dup(py, word(bytes, l->code_name), TEXT_MAX_BYTES, &code->name);
	if (!err)
		err = read_bytes(py, word(bytes, l->code_line_table), code);
	if (err)
		py_code__free(code);
	else
		code->identity = identify(code);
	return err;
}

void py_code__free(struct py_code *code)
{
	free(code->filename);
	free(code->name);
	free(code->line_table);
	*code = (struct py_code){ 0 };
}

int py_code__line(const struct py_code *code, int lasti)
{
	if (code->minor <= 9)
		return pyline__lnotab(code->line_table, code->line_table_size, code->first_line, lasti);
	if (code->minor == 10)
		return pyline__linetable310(code->line_table, code->line_table_size, code->first_line, lasti);
	return pyline__locations(code->line_table, code->line_table_size, code->first_line, lasti);
}
