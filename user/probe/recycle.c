// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <capstone/capstone.h>
#include <string.h>

#include "elf_file.h"
#include "gc_probe.h"
#include "place.h"
#include "python.h"
#include "recycle.h"
#include "shared.h"

#define INSNS_BETWEEN 6 /* from the load to the jump */
#define TUPLE_LENGTHS 20
/* Interpreters have some 300 places that look like one (84 to 307 in 3.10 to 3.13). A file made of nothing else must not take minutes. */
#define LOOKED_MAX 4096

struct search {
	csh handle;
	const uint8_t *text;
	size_t size;
	uint64_t addr;
	struct recycle_point *out;
	size_t cnt, max;
	size_t looked; /* how many places were decoded */
};

/* The load whose displacement is at OFF: its opcode is two or three bytes before, with a SIB byte one more. */
static size_t decode_load(struct search *s, size_t off, int64_t disp, cs_insn **insn)
{
	if (s->looked++ >= LOOKED_MAX)
		return 0;
	for (size_t back = 2; back <= 5 && back <= off; back++) {
		size_t at = off - back, cnt;
		const cs_x86 *x;

		cnt = cs_disasm(s->handle, s->text + at, s->size - at < 80 ? s->size - at : 80, s->addr + at, INSNS_BETWEEN + 1, insn);
		if (!cnt)
			continue;
		x = &(*insn)[0].detail->x86;
		/* the displacement must end the instruction, and the longest encoding wins: prefixes belong to it */
		if (((*insn)[0].id == X86_INS_MOV || (*insn)[0].id == X86_INS_MOVSXD) && (*insn)[0].size == back + 4 &&
		    x->op_count == 2 && x->operands[0].type == X86_OP_REG && x->operands[1].type == X86_OP_MEM &&
		    x->operands[1].mem.disp == disp && x->operands[1].mem.base != X86_REG_RIP &&
		    x->operands[1].mem.base != X86_REG_INVALID) {
			bool rex = back < off && (s->text[at - 1] & 0xf0) == 0x40;

			if (!rex || back == 5)
				return cnt;
		}
		cs_free(*insn, cnt);
	}
	return 0;
}

static bool tests_itself(const cs_insn *insn, const char *reg, const struct search *s)
{
	const cs_x86 *x = &insn->detail->x86;
	uint32_t want, a;

	if (insn->id != X86_INS_TEST || x->op_count != 2 || x->operands[0].type != X86_OP_REG || x->operands[1].type != X86_OP_REG ||
	    x->operands[0].reg != x->operands[1].reg)
		return false;
	return !pt_regs__offset(reg, &want) && !pt_regs__offset(cs_reg_name(s->handle, x->operands[0].reg), &a) && a == want;
}

/* From the load insn[0] on: a test of what was loaded, and the conditional jump. */
static void consider_load(struct search *s, const cs_insn *insn, size_t cnt, enum recycle_kind kind)
{
	const cs_x86 *x = &insn[0].detail->x86;
	const char *reg = cs_reg_name(s->handle, x->operands[0].reg);
	uint32_t reg_off, base_off;
	bool tested = false;

	if (pt_regs__offset(reg, &reg_off) || pt_regs__offset(cs_reg_name(s->handle, x->operands[1].mem.base), &base_off))
		return;
	for (size_t i = 1; i < cnt; i++) {
		if (tests_itself(&insn[i], reg, s)) {
			tested = true;
		} else if (cs_insn_group(s->handle, &insn[i], X86_GRP_JUMP)) {
			if (tested && insn[i].id != X86_INS_JMP && place__is_emulated(insn[i].bytes, insn[i].size) && s->cnt < s->max)
				s->out[s->cnt++] = (struct recycle_point){ insn[i].address,
									   RECYCLE_COOKIE(kind, reg_off, base_off) };
			return;
		} else if (cs_insn_group(s->handle, &insn[i], X86_GRP_CALL) || cs_insn_group(s->handle, &insn[i], X86_GRP_RET)) {
			return;
		}
	}
}

static void consider(struct search *s, size_t off, int64_t disp, bool indexed, enum recycle_kind kind)
{
	cs_insn *insn;
	size_t cnt = decode_load(s, off, disp, &insn);

	if (!cnt)
		return;
	if ((insn[0].detail->x86.operands[1].mem.index != X86_REG_INVALID) == indexed)
		consider_load(s, insn, cnt, kind);
	cs_free(insn, cnt);
}

/* "lea DISP(%length),%index; mov REST(%base,%index,8),%head": the offset of an ARRAY of words folded into the index. */
static void consider_lea(struct search *s, size_t off, int64_t disp, int64_t array, enum recycle_kind kind)
{
	cs_insn *insn;
	size_t cnt, i;
	x86_reg index;

	if (off < 3 || (s->text[off - 3] & 0xf8) != 0x48 || s->text[off - 2] != 0x8d || s->looked++ >= LOOKED_MAX)
		return;
	cnt = cs_disasm(s->handle, s->text + off - 3, s->size - off < 80 ? s->size - off + 3 : 80, s->addr + off - 3, 12, &insn);
	if (!cnt)
		return;
	index = insn[0].detail->x86.operands[0].reg;
	for (i = 1; insn[0].id == X86_INS_LEA && insn[0].detail->x86.operands[1].mem.disp == disp && i < cnt; i++) {
		const cs_x86 *x = &insn[i].detail->x86;

		if (insn[i].id == X86_INS_MOV && x->operands[0].type == X86_OP_REG && x->operands[1].type == X86_OP_MEM &&
		    x->operands[1].mem.index == index && x->operands[1].mem.scale == 8 &&
		    (disp * 8 + x->operands[1].mem.disp == array || disp * 8 + x->operands[1].mem.disp == array - 8)) {
			consider_load(s, &insn[i], cnt - i, kind);
			break;
		}
	}
	cs_free(insn, cnt);
}

static void search_lea(struct search *s, uint32_t disp, uint32_t array, enum recycle_kind kind)
{
	const uint8_t *at = s->text, *end = s->text + s->size;
	uint8_t bytes[4];

	memcpy(bytes, &disp, sizeof(bytes));
	while ((at = memmem(at, end - at, bytes, sizeof(bytes)))) {
		consider_lea(s, at - s->text, disp, array, kind);
		at++;
	}
}

static void search_disp(struct search *s, uint32_t disp, bool indexed, enum recycle_kind kind)
{
	const uint8_t *at = s->text, *end = s->text + s->size;
	uint8_t bytes[4];

	memcpy(bytes, &disp, sizeof(bytes));
	while ((at = memmem(at, end - at, bytes, sizeof(bytes)))) {
		consider(s, at - s->text, disp, indexed, kind);
		at++;
	}
}

static void search_arrays(struct search *s, const struct py_freelists *lists)
{
	search_disp(s, lists->dict_cnt, false, RECYCLE_DICT);
	search_disp(s, lists->keys_cnt, false, RECYCLE_KEYS);
	search_disp(s, lists->list_cnt, false, RECYCLE_LIST);
	search_disp(s, lists->floats, false, RECYCLE_FLOAT);
	for (uint32_t i = 0; i <= TUPLE_LENGTHS; i++) /* a constant length, or the length as index, counted from 0 or 1 */
		search_disp(s, lists->tuples - 8 + 8 * i, false, RECYCLE_TUPLE);
	for (uint32_t i = 0; i < 4; i++)
		search_lea(s, lists->tuples / 8 - i, lists->tuples, RECYCLE_TUPLE);
	for (uint32_t i = 0; i < 4; i++)
		search_disp(s, lists->tuples - 8 * i, true, RECYCLE_TUPLE);
}

/* 3.14: heads of chains all over, {void *freelist; Py_ssize_t size;}. With a GC head as tuples have it, or without as floats. */
static void search_chains(struct search *s, const struct py_freelists *lists)
{
	const uint32_t step = lists->tuples_step;

	search_disp(s, lists->dicts, false, RECYCLE_TUPLE);
	search_disp(s, lists->lists, false, RECYCLE_TUPLE);
	search_disp(s, lists->keys, false, RECYCLE_FLOAT);
	search_disp(s, lists->floats, false, RECYCLE_FLOAT);
	for (uint32_t i = 0; i < TUPLE_LENGTHS; i++)
		search_disp(s, lists->tuples + step * i, false, RECYCLE_TUPLE);
	for (uint32_t i = 1; i <= 2; i++) /* the length as index */
		search_disp(s, lists->tuples - step * (i - 1), true, RECYCLE_TUPLE);
	search_disp(s, lists->ints, false, RECYCLE_FLOAT);
}

size_t recycle__find(const void *text, size_t size, uint64_t addr, const struct py_freelists *lists, struct recycle_point *out,
		     size_t max)
{
	struct search s = { .text = text, .size = size, .addr = addr, .out = out, .max = max };

	if (!lists->known || cs_open(CS_ARCH_X86, CS_MODE_64, &s.handle) != CS_ERR_OK)
		return 0;
	cs_option(s.handle, CS_OPT_DETAIL, CS_OPT_ON);
	if (lists->chains)
		search_chains(&s, lists);
	else
		search_arrays(&s, lists);
	cs_close(&s.handle);
	return s.cnt;
}

size_t recycle__find_all(const struct py_interp *py, struct recycle_point *out, size_t max)
{
	const struct elf_segment *segs;
	size_t segs_cnt = elf_file__segments(py->elf, &segs), cnt = 0;
	struct py_freelists lists;

	py_interp__freelists(py, &lists);
	for (size_t i = 0; i < segs_cnt; i++) {
		const void *text = segs[i].x ? elf_file__bytes(py->elf, segs[i].addr, segs[i].file_size) : NULL;

		if (text)
			cnt += recycle__find(text, segs[i].file_size, segs[i].addr, &lists, out + cnt, max - cnt);
	}
	return cnt;
}
