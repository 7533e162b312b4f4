// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators.h"
#include "elf_file.h"
#include "python.h"

#define CODE_BYTES 128

static const char *const api[TABLE_CNT] = { "PyMem_RawMalloc", "PyMem_Malloc", "PyObject_Malloc" };

static int read_word(void *ctx, uint64_t addr, uint64_t *value)
{
	const struct py_interp *py = ctx;

	return remote__read_u64(&py->mem, addr + py->bias, value);
}

static const struct elf_segment *text_of(const struct elf_file *elf, uint64_t addr)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(elf, &segs), i;

	for (i = 0; i < cnt; i++)
		if (segs[i].x && addr >= segs[i].addr && addr < segs[i].addr + segs[i].file_size)
			return &segs[i];
	return NULL;
}

/* {ctx, malloc, calloc, realloc, free}: four functions of this very module. */
static bool is_table(const struct py_interp *py, uint64_t addr, uint64_t words[5])
{
	if (addr & 7 || remote__read(&py->mem, addr, words, 5 * sizeof(words[0])))
		return false;
	for (int i = 1; i < 5; i++)
		if (!text_of(py->elf, words[i] - py->bias))
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
		if (!is_table(py, addr, words))
			continue;
		a->table_addr[which] = addr;
		a->ctx[which] = words[0];
		for (int op = 0; op < OP_CNT; op++) {
			a->slots[which][op].addr = addr + 8 * (op + 1);
			a->slots[which][op].fn = words[op + 1];
		}
		return 0;
	}
	return -ENOENT;
}

static int plan_slot(const struct py_interp *py, bool read_only, enum alloc_op op, struct alloc_slot *slot, bool *blind)
{
	uint64_t fn = slot->fn - py->bias;
	const struct elf_segment *seg = text_of(py->elf, fn);
	const void *text = elf_file__bytes(py->elf, seg->addr, seg->file_size), *code;
	struct place alias = {};
	size_t size = seg->addr + seg->file_size - fn;
	bool has_alias;
	uint64_t real;
	int err;

	/* Another tracer's alias stands for the function it leads to. */
	real = text ? place__arrives_at(text, seg->file_size, seg->addr, fn) : fn;
	if (real != fn && text_of(py->elf, real) == seg && place__guards(text, seg->file_size, seg->addr, real)) {
		fn = real;
		slot->fn = real + py->bias;
		size = seg->addr + seg->file_size - fn;
	}
	code = elf_file__bytes(py->elf, fn, size < CODE_BYTES ? size : CODE_BYTES);
	if (!text || !code)
		return -EFAULT;
	err = place__entry(code, size < CODE_BYTES ? size : CODE_BYTES, fn,
			   op == OP_CALLOC || op == OP_REALLOC ? 2 : 1, &slot->probe);
	if (err)
		return err;
	slot->guards = place__guards(text, seg->file_size, seg->addr, fn);
	has_alias = !place__alias(text, seg->file_size, seg->addr, fn, &alias);
	if (has_alias)
		slot->alias = alias.addr + py->bias;
	if (slot->guards && !has_alias)
		*blind = true;
	/* An alias that the kernel emulates also saves the single step of an awkward prologue. */
	slot->redirect = has_alias && !read_only &&
			 (slot->guards || (slot->probe.cost == PLACE_SINGLE_STEP && alias.cost == PLACE_EMULATED));
	if (slot->guards && read_only)
		*blind = true;
	if (slot->redirect && alias.cost == PLACE_EMULATED)
		slot->probe = alias;
	slot->probe.addr += py->bias;
	return 0;
}

static int refuse(char *why, size_t size, const char *sentence)
{
	snprintf(why, size, "%s", sentence);
	return -EOPNOTSUPP;
}

int allocators__find(const struct py_interp *py, bool read_only, struct allocators *out, char *why, size_t why_size)
{
	int err, t, op;

	memset(out, 0, sizeof(*out));
	out->read_only = read_only;
	for (t = 0; t < TABLE_CNT; t++) {
		err = find_table(py, t, out);
		if (err)
			return refuse(why, why_size, "the interpreter's allocator tables were not found: it uses other allocator functions "
						     "than its own (an allocator hook?), or it was built in a way not known yet");
	}
	if (out->ctx[TABLE_OBJ] || out->ctx[TABLE_MEM])
		return refuse(why, why_size, "another allocator hook is active in the target (tracemalloc, PYTHONMALLOC=debug or "
					     "python -X dev): stop it, or start the program without it");
	if (out->slots[TABLE_OBJ][OP_MALLOC].fn == out->slots[TABLE_RAW][OP_MALLOC].fn)
		return refuse(why, why_size, "the target runs with PYTHONMALLOC=malloc, which is not supported yet: start it without");
	out->mem_is_obj = out->slots[TABLE_OBJ][OP_MALLOC].fn == out->slots[TABLE_MEM][OP_MALLOC].fn &&
			  out->slots[TABLE_OBJ][OP_FREE].fn == out->slots[TABLE_MEM][OP_FREE].fn;
	for (t = 0; t < TABLE_CNT; t++) {
		for (op = 0; op < OP_CNT; op++) {
			struct alloc_slot *slot = &out->slots[t][op];

			if (t == TABLE_OBJ && slot->fn == out->slots[TABLE_MEM][op].fn) {
				uint64_t addr = slot->addr;

				*slot = out->slots[TABLE_MEM][op];
				slot->addr = addr;
				continue;
			}
			err = plan_slot(py, read_only, op, slot, &out->blind);
			if (err)
				return err;
			out->inlined |= slot->guards > 0;
		}
	}
	return 0;
}
