// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators.h"
#include "allocators27.h"
#include "elf_file.h"
#include "python.h"
#include "reach.h"

#define CODE_BYTES 128

static const char *const api[TABLE_CNT] = { "PyMem_RawMalloc", "PyMem_Malloc", "PyObject_Malloc" };

static int read_word(void *ctx, uint64_t addr, uint64_t *value)
{
	const struct py_interp *py = ctx;

	return remote__read_u64(&py->mem, addr + py->bias, value);
}

static const struct elf_segment *text_of(const struct elf_file *elf, uint64_t addr)
{
	const struct elf_segment *seg = elf_file__segment_at(elf, addr);

	return seg && seg->x ? seg : NULL;
}

static bool is_code(const struct allocators *a, uint64_t addr)
{
	const struct proc_map *map = proc_maps__find(&a->files.maps, addr);

	return map && map->x;
}

/* {ctx, malloc, calloc, realloc, free}: data and four functions. */
static bool is_table(const struct py_interp *py, const struct allocators *a, uint64_t addr, uint64_t words[5])
{
	if (addr & 7 || remote__read(&py->mem, addr, words, 5 * sizeof(words[0])) || is_code(a, words[0]))
		return false;
	for (int i = 1; i < 5; i++)
		if (!is_code(a, words[i]))
			return false;
	return true;
}

static int find_table(const struct py_interp *py, enum alloc_table which, struct allocators *a)
{
	uint64_t refs[16], words[5];
	struct elf_sym sym;
	const void *code;
	size_t cnt, i;

	if (elf_file__symbol(py->elf, api[which], &sym))
		return -ENOENT;
	code = elf_file__bytes(py->elf, sym.addr, CODE_BYTES);
	if (!code)
		return -ENOENT;
	cnt = place__data_refs(code, CODE_BYTES, sym.addr, read_word, (void *)py, refs, sizeof(refs) / sizeof(refs[0]));
	for (i = 0; i < 2 * cnt; i++) {
		uint64_t ref = refs[i / 2], addr;

		/* Pointers from the GOT are runtime addresses already. */
		addr = text_of(py->elf, ref) || ref < py->bias ? ref + py->bias : ref;
		if (py->bias && ref >= py->bias)
			addr = ref;
		addr -= i % 2 ? 8 : 0; /* the word referred to is ctx or malloc */
		if (!is_table(py, a, addr, words))
			continue;
		a->table_addr[which] = addr;
		for (int op = 0; op < OP_CNT; op++) {
			a->slots[which][op].addr = addr + 8 * (op + 1);
			a->slots[which][op].fn = words[op + 1];
		}
		return 0;
	}
	return -ENOENT;
}

/* The raw free that nothing stands for (Debian's 3.9) is seen where it and its inlined copies all arrive: at the stub of free(). */
static int probe_tail(const struct code_file *file, const void *code, size_t size, uint64_t fn, struct alloc_slot *slot)
{
	struct place tail;
	const void *stub;
	int err;

	err = place__tail(code, size < CODE_BYTES ? size : CODE_BYTES, fn, &tail);
	stub = err || !text_of(file->elf, tail.addr) ? NULL : elf_file__bytes(file->elf, tail.addr, 16);
	if (!stub)
		return -ENOENT;
	if (place__is_emulated(stub, 16))
		tail.cost = PLACE_EMULATED;
	tail.addr += file->bias;
	slot->probe = tail;
	return 0;
}

static int plan_slot(struct allocators *a, enum alloc_op op, struct alloc_slot *slot)
{
	const struct code_file *file = slot->file;
	uint64_t fn = slot->fn - file->bias, real;
	const struct elf_segment *seg = text_of(file->elf, fn);
	const void *text = seg ? elf_file__bytes(file->elf, seg->addr, seg->file_size) : NULL, *code;
	struct place alias = {};
	bool has_alias;
	size_t size;
	int err;

	if (!text)
		return -EFAULT;
	/* Another tracer's alias stands for the function it leads to. */
	real = place__arrives_at(text, seg->file_size, seg->addr, fn);
	if (real != fn && text_of(file->elf, real) == seg && !place__alias(text, seg->file_size, seg->addr, real, &alias) &&
	    alias.addr == fn) {
		fn = real;
		slot->fn = real + file->bias;
	}
	size = seg->addr + seg->file_size - fn;
	code = elf_file__bytes(file->elf, fn, size < CODE_BYTES ? size : CODE_BYTES);
	if (!code)
		return -EFAULT;
	err = place__entry(code, size < CODE_BYTES ? size : CODE_BYTES, fn,
			   op == OP_CALLOC || op == OP_REALLOC ? 2 : 1, &slot->probe);
	if (err)
		return err;
	slot->guards = place__guards(text, seg->file_size, seg->addr, fn);
	/* What is not the interpreter's own may be unloaded: then its address must not come back. */
	alias = (struct place){};
	has_alias = file->interpreter && !place__alias(text, seg->file_size, seg->addr, fn, &alias);
	a->inlined |= slot->guards > 0;
	if (has_alias)
		slot->alias = alias.addr + file->bias; /* another tracer may put it there even if we do not */
	if (slot->guards && (!has_alias || a->read_only) && op == OP_FREE && !probe_tail(file, code, size, fn, slot))
		return 0;
	a->blind |= slot->guards && (a->read_only || !has_alias);
	/* An alias that the kernel emulates also saves the single step of an awkward prologue. */
	slot->redirect = has_alias && !a->read_only &&
			 (slot->guards || (slot->probe.cost == PLACE_SINGLE_STEP && alias.cost == PLACE_EMULATED));
	if (slot->redirect && alias.cost == PLACE_EMULATED)
		slot->probe = alias;
	slot->probe.addr += file->bias;
	return 0;
}

static int refuse(char *why, size_t size, const char *sentence)
{
	snprintf(why, size, "%s", sentence);
	return -EOPNOTSUPP;
}

static int find_file(const struct py_interp *py, struct allocators *a, enum alloc_table t, enum alloc_op op, char *why, size_t why_size)
{
	static const char *const ops[OP_CNT] = { "malloc", "calloc", "realloc", "free" };
	struct alloc_slot *slot = &a->slots[t][op];
	int err = code_files__at(&a->files, py, slot->fn, &slot->file);

	if (!err) {
		a->hooked |= !slot->file->interpreter;
		return 0;
	}
	snprintf(why, why_size, "the target's allocator has been replaced (PyMem_SetAllocator): no probe can be placed on its %s, which is %s",
		 ops[op], err == -ENOEXEC ? "in memory that is no file (code made while it runs, such as a callback of ctypes)" :
					    "in a file that cannot be opened");
	return -EOPNOTSUPP;
}

static bool same_functions(const struct allocators *a, enum alloc_table one, enum alloc_table other)
{
	for (int op = 0; op < OP_CNT; op++)
		if (a->slots[one][op].fn != a->slots[other][op].fn)
			return false;
	return true;
}

static bool in_table(const struct allocators *a, enum alloc_table t, uint64_t fn)
{
	for (int op = 0; op < OP_CNT; op++)
		if (a->slots[t][op].fn == fn)
			return true;
	return false;
}

/* The same function in a table before: looking for its guards takes a while. */
static const struct alloc_slot *planned(const struct allocators *a, enum alloc_table t, enum alloc_op op)
{
	for (int before = 0; before < (int)t; before++)
		if (a->slots[before][op].fn == a->slots[t][op].fn)
			return &a->slots[before][op];
	return NULL;
}

static int plan_or_copy(struct allocators *a, enum alloc_table t, enum alloc_op op)
{
	const struct alloc_slot *same = planned(a, t, op);
	struct alloc_slot *slot = &a->slots[t][op];
	uint64_t addr = slot->addr;

	if (!same)
		return plan_slot(a, op, slot);
	*slot = *same;
	slot->addr = addr;
	return 0;
}

static int plan(const struct py_interp *py, struct allocators *a, char *why, size_t why_size)
{
	for (int i = 0; i < TABLE_CNT * OP_CNT; i++) {
		enum alloc_table t = i / OP_CNT;
		enum alloc_op op = i % OP_CNT;
		int err = find_file(py, a, t, op, why, why_size);

		err = err ?: plan_or_copy(a, t, op);
		if (err)
			return err;
		if (a->slots[t][op].file->interpreter && !reach__is_unchanged(py, a->slots[t][op].probe.addr))
			return refuse(why, why_size, "the code of the interpreter's allocator in memory is not that of its file: something "
						     "has patched it");
		a->any_is_raw |= t != TABLE_RAW && in_table(a, TABLE_RAW, a->slots[t][op].fn);
	}
	a->mem_is_obj = same_functions(a, TABLE_MEM, TABLE_OBJ);
	return 0;
}

int allocators__find(const struct py_interp *py, bool read_only, struct allocators *out, char *why, size_t why_size)
{
	int err;

	memset(out, 0, sizeof(*out));
	out->read_only = read_only;
	err = code_files__open(&out->files, py->pid);
	if (err)
		return err;
	if (py->major < 3)
		return allocators27__find(py, out, why, why_size);
	for (int t = 0; t < TABLE_CNT; t++) {
		err = find_table(py, t, out);
		if (err)
			return refuse(why, why_size, "the interpreter's allocator tables were not found: it was built in a way not known yet");
	}
	return plan(py, out, why, why_size);
}

void allocators__close(struct allocators *a)
{
	code_files__close(&a->files);
}

uint64_t alloc_slot__fn(const struct alloc_slot *slot, uint64_t delta)
{
	return slot->fn + (slot->file->interpreter ? delta : 0);
}

bool allocators__still(const struct allocators *a, const struct py_interp *py, uint64_t delta)
{
	for (int t = 0; t < TABLE_CNT && !a->no_tables; t++) {
		const struct alloc_slot *slots = a->slots[t];
		uint64_t words[OP_CNT];

		if (remote__read(&py->mem, slots[0].addr + delta, words, sizeof(words)))
			return true;
		for (int op = 0; op < OP_CNT; op++)
			if (words[op] != alloc_slot__fn(&slots[op], delta) && (!slots[op].alias || words[op] != slots[op].alias + delta))
				return false;
	}
	return true;
}
