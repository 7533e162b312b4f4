// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "code.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "layout.h"
#include "python.h"
#include "str.h"
#include "word.h"

enum {
	CODE_MAX_BYTES = 256,
	TEXT_MAX_BYTES = 4096,
	TABLE_MAX_BYTES = 1 << 20,
};

/* PyBytesObject: ob_type at 8, ob_size at 16 */
static int read_bytes(const struct py_interp *py, uint64_t addr, struct py_code *code)
{
	uint64_t head[2], size;
	int err;

	err = remote__read(&py->mem, addr + 8, head, sizeof(head));
	if (err)
		return err;
	size = head[1];
	if (head[0] != py->types.bytes || size > TABLE_MAX_BYTES)
		return -EFAULT;
	code->line_table = malloc(size + 1);
	if (!code->line_table)
		return -ENOMEM;
	code->line_table_size = size;
	return remote__read(&py->mem, addr + py->layout->bytes_data, code->line_table, size);
}

/* By content: what was put at the same address may have got its strings at the same addresses, too. */
static uint64_t identify(const struct py_code *code)
{
	uint64_t hash = HASH_START;

	hash = hash__bytes(hash, code->filename, strlen(code->filename) + 1);
	hash = hash__bytes(hash, code->name, strlen(code->name) + 1);
	hash = hash__bytes(hash, &code->first_line, sizeof(code->first_line));
	return hash__bytes(hash, code->line_table, code->line_table_size);
}

static bool is_inside(const struct py_layout *l)
{
	return (l->code_bytecode == NO_OFF || l->code_bytecode + 8 <= l->code_size) && l->code_first_line + 4 <= l->code_size && l->code_filename + 8 <= l->code_size && l->code_name + 8 <= l->code_size &&
	       l->code_line_table + 8 <= l->code_size &&
	       (l->code_first_traceable == NO_OFF || l->code_first_traceable + 4 <= l->code_size);
}

int py_code__read(const struct py_interp *py, uint64_t addr, struct py_code *code)
{
	const struct py_layout *l = py->layout;
	unsigned char bytes[CODE_MAX_BYTES];
	int err;

	*code = (struct py_code){ .line_format = l->line_format };
	if (py->names.codes == NAMES_FALSE)
		return -EFAULT;
	if (l->code_size > sizeof(bytes) || !is_inside(l))
		return -EINVAL;
	err = remote__read(&py->mem, addr, bytes, l->code_size);
	if (err)
		return err;
	if (!py->types.code || word(bytes, 8) != py->types.code)
		return -EFAULT;
	if (l->code_bytecode != NO_OFF)
		code->bytecode = word(bytes, l->code_bytecode);
	else
		code->bytecode_bytes = 2 * (word(bytes, 16) & UINT32_MAX); /* ob_size, in code units */
	memcpy(&code->first_line, bytes + l->code_first_line, sizeof(code->first_line));
	if (l->code_first_traceable != NO_OFF) {
		memcpy(&code->first_traceable, bytes + l->code_first_traceable, sizeof(code->first_traceable));
		if (code->first_traceable < 0 || code->first_traceable > TABLE_MAX_BYTES)
			return -EFAULT;
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

/* Include/opcode.h: the same numbers from 2.7 to 3.10, those that they have in common. */
static bool may_call(uint8_t opcode)
{
	static const uint8_t opcodes[] = {
		25 /* BINARY_SUBSCR */, 60 /* STORE_SUBSCR */, 68 /* GET_ITER */, 72 /* YIELD_FROM */, 86 /* YIELD_VALUE */, 93 /* FOR_ITER */,
		92 /* UNPACK_SEQUENCE */, 106 /* LOAD_ATTR */, 95 /* STORE_ATTR */, 107 /* COMPARE_OP */, 108 /* IMPORT_NAME */, 109 /* IMPORT_FROM */,
		84 /* IMPORT_STAR */, 131 /* CALL_FUNCTION */, 140, 141, 142 /* _VAR, _KW, _VAR_KW or _EX */, 143 /* SETUP_WITH */,
		160 /* LOAD_METHOD */, 161 /* CALL_METHOD */,
	};

	return memchr(opcodes, opcode, sizeof(opcodes)) || (opcode >= 19 && opcode <= 29) /* BINARY_ and their like */;
}

static bool may_allocate(uint8_t opcode)
{
	static const uint8_t never[] = {
		2, 3, 4, 5 /* ROT_, DUP_ */, 9 /* NOP */, 100 /* LOAD_CONST */, 110, 111, 112, 113, 114, 115 /* JUMP_ */, 124 /* LOAD_FAST */,
	};

	return !memchr(never, opcode, sizeof(never));
}

int py_code__position(const struct py_interp *py, const struct py_code *code, int lasti, bool outer)
{
	uint64_t size;
	uint8_t opcode;
	int err;

	if (!code->bytecode)
		return lasti >= -2 && lasti % 2 == 0 && lasti < code->bytecode_bytes;
	err = remote__read_u64(&py->mem, code->bytecode + 16, &size);
	if (err)
		return err;
	if (lasti < 0 || (uint64_t)lasti >= size || (py->major > 2 && lasti % 2))
		return 0;
	err = remote__read(&py->mem, code->bytecode + py->layout->bytes_data + lasti, &opcode, 1);
	return err ? err : outer ? may_call(opcode) : may_allocate(opcode);
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
	static int (*const decoders[])(const unsigned char *table, size_t size, int first_line, int lasti) = {
		[LINES_UNSIGNED] = pyline__unsigned,
		[LINES_LNOTAB] = pyline__lnotab,
		[LINES_RANGES] = pyline__linetable310,
		[LINES_LOCATIONS] = pyline__locations,
	};

	return decoders[code->line_format](code->line_table, code->line_table_size, code->first_line, lasti);
}
