// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators27.h"
#include "elf_file.h"
#include "procfs.h"
#include "python.h"

#define CODE_BYTES 128

/* realloc and calloc have two arguments */
static int args_of(enum alloc_op op)
{
	return op == OP_CALLOC || op == OP_REALLOC ? 2 : 1;
}

static int find_place(const struct elf_file *elf, const char *function, enum alloc_op op, struct place *out)
{
	struct elf_sym sym;
	const void *code;

	if (elf_file__symbol(elf, function, &sym))
		return -ENOENT;
	code = elf_file__bytes(elf, sym.addr, CODE_BYTES);
	return code ? place__plain_entry(code, CODE_BYTES, sym.addr, args_of(op), out) : -ENOENT;
}

static int find_function(const struct py_interp *py, struct allocators *a, enum alloc_table t, const char *function, enum alloc_op op)
{
	struct alloc_slot *slot = &a->slots[t][op];
	int err = find_place(py->elf, function, op, &slot->probe);

	if (err)
		return err;
	slot->probe.addr += py->bias;
	slot->fn = slot->probe.addr;
	return code_files__at(&a->files, py, slot->fn, &slot->file);
}

static bool is_libc(const char *path)
{
	const char *name = path ? strrchr(path, '/') : NULL;

	return name && (!strncmp(name, "/libc.so.", 9) || !strncmp(name, "/libc-2.", 8) || !strncmp(name, "/ld-musl-", 9));
}

/* Which file the linker has bound the interpreter's malloc to: libc, or what was preloaded. */
static const struct proc_map *malloc_map(const struct py_interp *py, const struct proc_maps *maps)
{
	uint64_t slot, addr;

	if (elf_file__import(py->elf, "malloc", &slot) || remote__read_u64(&py->mem, slot + py->bias, &addr))
		return NULL;
	if (addr < py->module_start || addr >= py->module_end)
		return proc_maps__find(maps, addr);
	/* Not bound before the first call. */
	for (size_t i = 0; i < maps->cnt; i++)
		if (maps->maps[i].x && is_libc(maps->maps[i].path))
			return &maps->maps[i];
	return NULL;
}

static int find_libc_places(const struct elf_file *elf, struct libc_places *out)
{
	static const char *const names[OP_CNT] = { "malloc", "calloc", "realloc", "free" };
	int err = 0;

	for (int op = 0; op < OP_CNT && !err; op++) {
		err = find_place(elf, names[op], op, &out->places[op]);
		err = err ?: elf_file__addr_to_off(elf, out->places[op].addr, &out->places[op].addr);
	}
	return err;
}

/* Not bound yet, or inside the interpreter's own file: then there is none, and coverage is partial. */
static void find_libc(const struct py_interp *py, struct libc_places *out)
{
	const struct proc_map *map;
	struct elf_file *elf;
	struct proc_maps maps;

	if (procfs__maps(py->pid, &maps))
		return;
	map = malloc_map(py, &maps);
	if (map && !procfs__open_path(py->pid, map, out->path, sizeof(out->path)) && !elf_file__open(out->path, &elf)) {
		if (find_libc_places(elf, out))
			out->path[0] = '\0';
		elf_file__close(elf);
	} else {
		out->path[0] = '\0';
	}
	proc_maps__free(&maps);
}

static void find_text(const struct py_interp *py, struct allocators *out)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(py->elf, &segs);

	for (size_t i = 0; i < cnt; i++) {
		if (!segs[i].x)
			continue;
		out->text_start = segs[i].addr + py->bias;
		out->text_end = out->text_start + segs[i].file_size;
	}
}

static bool in_function(const struct py_interp *py, const char *name, uint64_t addr)
{
	struct elf_sym sym;

	return !elf_file__symbol(py->elf, name, &sym) && addr >= sym.addr && addr - sym.addr < sym.size;
}

static bool in_allocator(const struct py_interp *py, uint64_t addr)
{
	return in_function(py, "PyObject_Malloc", addr) || in_function(py, "PyObject_Realloc", addr) ||
	       in_function(py, "PyObject_Free", addr);
}

/* "lea DATA(%rip),%reg" at CODE, which is at ADDR in the file: the address of DATA, or 0. */
static uint64_t lea_target(const uint8_t *code, uint64_t addr)
{
	int32_t disp;

	if ((code[0] & 0xf8) != 0x48 || code[1] != 0x8d || (code[2] & 0xc7) != 0x05)
		return 0;
	memcpy(&disp, code + 3, sizeof(disp));
	return addr + 7 + disp;
}

/*
 * Optimised builds have copies of PyObject_Malloc in their callers. Each begins with a look into the table `usedpools`, the first
 * thing that the function itself refers to.
 */
static size_t count_copies(const struct py_interp *py, uint64_t text_addr, size_t size)
{
	const uint8_t *text = elf_file__bytes(py->elf, text_addr, size), *code;
	uint64_t usedpools = 0;
	struct elf_sym sym;
	size_t cnt = 0;

	if (!text || size < CODE_BYTES || elf_file__symbol(py->elf, "PyObject_Malloc", &sym))
		return 0;
	code = elf_file__bytes(py->elf, sym.addr, CODE_BYTES);
	for (size_t i = 0; code && i + 7 <= CODE_BYTES && !usedpools; i++)
		usedpools = lea_target(code + i, sym.addr + i);
	for (size_t i = 0; usedpools && i + 7 <= size; i++)
		cnt += lea_target(text + i, text_addr + i) == usedpools && !in_allocator(py, text_addr + i);
	return cnt;
}

int allocators27__find(const struct py_interp *py, struct allocators *out, char *why, size_t why_size)
{
	struct alloc_slot *obj = out->slots[TABLE_OBJ];

	out->no_tables = out->mem_is_obj = true;
	if (find_function(py, out, TABLE_OBJ, "PyObject_Malloc", OP_MALLOC) ||
	    find_function(py, out, TABLE_OBJ, "PyObject_Realloc", OP_REALLOC) ||
	    find_function(py, out, TABLE_OBJ, "PyObject_Free", OP_FREE)) {
		snprintf(why, why_size, "this Python 2.7 has no allocator of its own (it was built without pymalloc?): not supported");
		return -EOPNOTSUPP;
	}
	find_text(py, out);
	obj[OP_MALLOC].guards = count_copies(py, out->text_start - py->bias, out->text_end - out->text_start);
	out->inlined = out->blind = obj[OP_MALLOC].guards > 0;
	memcpy(out->slots[TABLE_MEM], obj, sizeof(out->slots[TABLE_MEM]));
	find_libc(py, &out->libc);
	/* The macros' functions, for extensions: they may jump to libc, whose caller then is not the interpreter's text. */
	if (*out->libc.path) {
		find_function(py, out, TABLE_RAW, "PyMem_Malloc", OP_MALLOC);
		find_function(py, out, TABLE_RAW, "PyMem_Realloc", OP_REALLOC);
	}
	return 0;
}
