// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "elf_file.h"
#include "maker.h"
#include "place.h"
#include "python.h"

#define CODE_BYTES 64

void maker__find(const struct py_interp *py, struct maker *out)
{
	struct elf_sym sym;
	struct place place;
	const void *code;

	memset(out, 0, sizeof(*out));
	if (elf_file__symbol(py->elf, "PyType_GenericAlloc", &sym) || sym.size < CODE_BYTES)
		return;
	code = elf_file__bytes(py->elf, sym.addr, CODE_BYTES);
	if (!code || place__plain_entry(code, CODE_BYTES, sym.addr, 1, &place) || elf_file__addr_to_off(py->elf, place.addr, &out->off))
		return;
	out->addr = sym.addr + py->bias;
}
