// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <capstone/capstone.h>
#include <errno.h>
#include <string.h>

#include "place.h"

#define PROLOGUE_INSNS 12
/* Debian's 3.11, which has the most of them, has 190 guards of its malloc. A file made of nothing else must not take minutes. */
#define GUARDS_LOOKED_MAX 16384

static int disasm_open(csh *handle)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, handle) != CS_ERR_OK)
		return -ENOMEM;
	cs_option(*handle, CS_OPT_DETAIL, CS_OPT_ON);
	return 0;
}

static bool emulated(const uint8_t *b, size_t len)
{
	if (len == 1 && b[0] >= 0x50 && b[0] <= 0x57)
		return true; /* push */
	if (len == 2 && b[0] == 0x41 && b[1] >= 0x50 && b[1] <= 0x57)
		return true; /* push r8-r15 */
	if (b[0] == 0x90 || (len == 2 && b[0] == 0x66 && b[1] == 0x90))
		return true;
	if (b[0] == 0xe9 || b[0] == 0xeb || b[0] == 0xe8)
		return true;
	if (b[0] >= 0x70 && b[0] <= 0x7f)
		return true;
	return len == 6 && b[0] == 0x0f && b[1] >= 0x80 && b[1] <= 0x8f;
}

/* The kernel takes no probe there: is_prefix_bad() of arch/x86/kernel/uprobes.c. */
static bool refused(const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (b[i] == 0xf0 || b[i] == 0x26 || b[i] == 0x2e || b[i] == 0x36 || b[i] == 0x3e)
			return true;
		if (b[i] != 0x66 && b[i] != 0x67 && b[i] != 0xf2 && b[i] != 0xf3 && b[i] != 0x64 && b[i] != 0x65)
			break;
	}
	return false;
}

bool place__is_emulated(const void *code, size_t size)
{
	csh handle;
	cs_insn *insn;
	size_t cnt;
	bool yes = false;

	if (disasm_open(&handle))
		return false;
	cnt = cs_disasm(handle, code, size < 15 ? size : 15, 0, 1, &insn);
	if (cnt) {
		yes = emulated(insn[0].bytes, insn[0].size);
		cs_free(insn, cnt);
	}
	cs_close(&handle);
	return yes;
}

static const struct {
	x86_reg regs[4];
	enum arg_reg arg;
} tracked[] = {
	{ { X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL }, ARG_SI },
	{ { X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL }, ARG_DX },
	{ { X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL }, ARG_DI },
	{ { X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL }, ARG_AX },
	{ { X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL }, ARG_CX },
};
#define TRACKED (sizeof(tracked) / sizeof(tracked[0]))

/* holds[r] says which argument (0 or 1) register r has a copy of, -1 for none. */
struct copies {
	int holds[TRACKED];
};

static int tracked_idx(unsigned reg)
{
	for (size_t i = 0; i < TRACKED; i++)
		for (int k = 0; k < 4; k++)
			if (tracked[i].regs[k] == reg)
				return i;
	return -1;
}

/* What the registers hold after this instruction. */
static void follow(csh handle, const cs_insn *insn, struct copies *c)
{
	const cs_x86 *x = &insn->detail->x86;
	uint8_t rd_cnt, wr_cnt;
	int from = -1, idx;
	cs_regs rd, wr;

	if (insn->id == X86_INS_MOV && x->op_count == 2 && x->operands[0].type == X86_OP_REG &&
	    x->operands[1].type == X86_OP_REG && x->operands[0].size == 8) {
		idx = tracked_idx(x->operands[1].reg);
		from = idx < 0 ? -1 : c->holds[idx];
	}
	if (cs_regs_access(handle, insn, rd, &rd_cnt, wr, &wr_cnt) != CS_ERR_OK) {
		memset(c->holds, -1, sizeof(c->holds));
		return;
	}
	for (uint8_t i = 0; i < wr_cnt; i++) {
		idx = tracked_idx(wr[i]);
		if (idx >= 0)
			c->holds[idx] = from;
	}
}

static bool locate(const struct copies *c, int nargs, struct place *p)
{
	for (int arg = 0; arg < nargs; arg++) {
		size_t i = 0;

		while (i < TRACKED && c->holds[i] != arg)
			i++;
		if (i == TRACKED)
			return false;
		p->arg_regs[arg] = tracked[i].arg;
	}
	return true;
}

static bool moves_stack(csh handle, const cs_insn *insn)
{
	cs_regs rd, wr;
	uint8_t rd_cnt, wr_cnt;

	if (cs_regs_access(handle, insn, rd, &rd_cnt, wr, &wr_cnt) != CS_ERR_OK)
		return true;
	for (uint8_t i = 0; i < wr_cnt; i++)
		if (wr[i] == X86_REG_RSP || wr[i] == X86_REG_ESP)
			return true;
	return false;
}

/* ENTRY: the function's own first instruction, with the registers that the arguments come in. */
static int find_entry(const void *code, size_t size, struct copies copies, int nargs, const struct place *entry, struct place *out)
{
	const uint64_t addr = entry->addr;
	csh handle;
	cs_insn *insn;
	bool possible = false;
	size_t cnt, i;
	int err;

	err = disasm_open(&handle);
	if (err)
		return err;
	cnt = cs_disasm(handle, code, size, addr, PROLOGUE_INSNS, &insn);
	if (!cnt) {
		cs_close(&handle);
		return -EINVAL;
	}
	*out = *entry;
	for (i = 0; i < cnt; i++) {
		struct place p = *entry;

		p.addr = insn[i].address;
		p.cost = PLACE_EMULATED;
		if (!locate(&copies, nargs, &p))
			break;
		if (emulated(insn[i].bytes, insn[i].size)) {
			*out = p;
			break;
		}
		if (!possible && !refused(insn[i].bytes, insn[i].size)) {
			p.cost = PLACE_SINGLE_STEP;
			*out = p;
			possible = true;
		}
		follow(handle, &insn[i], &copies);
		if (moves_stack(handle, &insn[i]) || cs_insn_group(handle, &insn[i], X86_GRP_JUMP) || cs_insn_group(handle, &insn[i], X86_GRP_CALL) ||
		    cs_insn_group(handle, &insn[i], X86_GRP_RET))
			break;
	}
	cs_free(insn, cnt);
	cs_close(&handle);
	return 0;
}

int place__entry(const void *code, size_t size, uint64_t addr, int nargs, struct place *out)
{
	const struct place entry = { addr, PLACE_SINGLE_STEP, { ARG_SI, ARG_DX } };

	return find_entry(code, size, (struct copies){ { 0, 1, -1, -1, -1 } }, nargs, &entry, out);
}

int place__plain_entry(const void *code, size_t size, uint64_t addr, int nargs, struct place *out)
{
	const struct place entry = { addr, PLACE_SINGLE_STEP, { ARG_DI, ARG_SI } };

	return find_entry(code, size, (struct copies){ { 1, -1, 0, -1, -1 } }, nargs, &entry, out);
}

static int32_t load_s32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

struct text {
	const uint8_t *bytes;
	size_t size;
	uint64_t addr;
};

static size_t disasm_at(csh handle, const struct text *t, uint64_t addr, size_t max, cs_insn **insn)
{
	if (addr < t->addr || addr >= t->addr + t->size)
		return 0;
	return cs_disasm(handle, t->bytes + (addr - t->addr), t->addr + t->size - addr < 96 ? t->addr + t->size - addr : 96, addr,
			 max, insn);
}

static bool is_indirect_branch(const cs_insn *insn)
{
	return (insn->id == X86_INS_CALL || insn->id == X86_INS_JMP) && insn->detail->x86.op_count == 1 &&
	       insn->detail->x86.operands[0].type != X86_OP_IMM;
}

static bool calls_indirectly(csh handle, const struct text *t, uint64_t addr)
{
	cs_insn *insn;
	size_t cnt = disasm_at(handle, t, addr, 8, &insn), i;
	bool yes = false;

	for (i = 0; i < cnt && !yes; i++) {
		yes = is_indirect_branch(&insn[i]);
		if (cs_insn_group(handle, &insn[i], X86_GRP_RET))
			break;
	}
	if (cnt)
		cs_free(insn, cnt);
	return yes;
}

/*
 * Is this a guard: a comparison (with REG, unless that is X86_REG_INVALID) among the next instructions, then a branch of which
 * one way makes the indirect call? Other code compares with the function too, to tell which allocator is in use.
 */
static bool is_guard(csh handle, const struct text *t, uint64_t addr, x86_reg reg)
{
	cs_insn *insn;
	size_t cnt = disasm_at(handle, t, addr, 8, &insn), i;
	bool cmp = false, yes = false;

	for (i = 0; i < cnt && !yes; i++) {
		const cs_x86 *x = &insn[i].detail->x86;

		if (insn[i].id == X86_INS_CMP) {
			cmp = reg == X86_REG_INVALID;
			for (uint8_t k = 0; k < x->op_count; k++)
				cmp |= x->operands[k].type == X86_OP_REG && x->operands[k].reg == reg;
		} else if (cmp && (insn[i].id == X86_INS_JNE || insn[i].id == X86_INS_JE)) {
			yes = calls_indirectly(handle, t, insn[i].address + insn[i].size) ||
			      calls_indirectly(handle, t, x->operands[0].imm);
			break;
		} else if (cs_insn_group(handle, &insn[i], X86_GRP_JUMP)) {
			break;
		}
	}
	if (cnt)
		cs_free(insn, cnt);
	return yes;
}

static x86_reg lea_register(uint8_t rex, uint8_t modrm)
{
	static const x86_reg low[] = { X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX,
				       X86_REG_RSP, X86_REG_RBP, X86_REG_RSI, X86_REG_RDI };
	static const x86_reg high[] = { X86_REG_R8,  X86_REG_R9,  X86_REG_R10, X86_REG_R11,
					X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15 };

	return (rex & 4) ? high[modrm >> 3 & 7] : low[modrm >> 3 & 7];
}

size_t place__guards(const void *bytes, size_t size, uint64_t addr, uint64_t fn)
{
	const struct text text = { bytes, size, addr };
	const uint8_t *t = bytes;
	size_t i, cnt = 0, looked = 0;
	csh handle;

	if (size < 16 || disasm_open(&handle))
		return 0;
	for (i = 3; i + 4 <= size && looked < GUARDS_LOOKED_MAX; i++) {
		int32_t v = load_s32(t + i);
		x86_reg reg = X86_REG_INVALID;
		uint64_t from = 0;

		if (fn < 0x80000000ULL && (uint32_t)v == fn) {
			/* cmp $fn,%rax; REX.W 81 /7: cmp $fn with a register, or with memory whose address has no displacement */
			if (t[i - 2] == 0x48 && t[i - 1] == 0x3d)
				from = addr + i - 2;
			else if (t[i - 2] == 0x81 && (t[i - 1] & 0x38) == 0x38 && (t[i - 3] & 0xf8) == 0x48)
				from = addr + i - 3;
		} else if (addr + i + 4 + (int64_t)v == fn && t[i - 2] == 0x8d && (t[i - 3] & 0xf8) == 0x48 &&
			   (t[i - 1] & 0xc7) == 0x05) {
			from = addr + i + 4;
			reg = lea_register(t[i - 3], t[i - 1]);
		}
		if (!from)
			continue;
		looked++;
		cnt += is_guard(handle, &text, from, reg);
	}
	cs_close(&handle);
	return cnt;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Every byte from START to the function must be one or more whole nops. */
static bool falls_into(csh handle, const uint8_t *code, size_t size)
{
	size_t off = 0;

	while (off < size) {
		cs_insn *insn;
		size_t cnt = cs_disasm(handle, code + off, size - off, 0, 1, &insn), len;
		bool nop;

		if (!cnt)
			return false;
		nop = insn[0].id == X86_INS_NOP;
		len = insn[0].size;
		cs_free(insn, cnt);
		if (!nop)
			return false;
		off += len;
	}
	return true;
}

uint64_t place__arrives_at(const void *bytes, size_t size, uint64_t text_addr, uint64_t addr)
{
	const struct text text = { bytes, size, text_addr };
	bool more = true;
	csh handle;

	if (disasm_open(&handle))
		return addr;
	for (int i = 0; i < 4 && more; i++) {
		cs_insn *insn;
		size_t cnt = disasm_at(handle, &text, addr, 1, &insn);

		more = cnt && (insn[0].id == X86_INS_NOP ||
			       (insn[0].id == X86_INS_JMP && insn[0].detail->x86.operands[0].type == X86_OP_IMM));
		if (more)
			addr = insn[0].id == X86_INS_NOP ? addr + insn[0].size : (uint64_t)insn[0].detail->x86.operands[0].imm;
		if (cnt)
			cs_free(insn, cnt);
	}
	cs_close(&handle);
	return addr;
}

int place__alias(const void *text, size_t size, uint64_t addr, uint64_t fn, struct place *out)
{
	const uint8_t *t = text;
	bool found = false;
	csh handle;
	size_t i;

	*out = (struct place){ 0, PLACE_SINGLE_STEP, { ARG_SI, ARG_DX } };
	for (i = 0; i + 5 <= size; i++) {
		if (t[i] != 0xe9 || addr + i + 5 + (int64_t)load_s32(t + i + 1) != fn)
			continue;
		if (!found || distance(addr + i, fn) < distance(out->addr, fn)) {
			out->addr = addr + i;
			out->cost = PLACE_EMULATED;
			found = true;
		}
	}
	if (found)
		return 0;
	if (fn < addr + 2 || fn > addr + size || disasm_open(&handle))
		return -ENOENT;
	for (i = 1; i <= 15 && fn - i >= addr; i++) {
		const uint8_t *code = t + (fn - i - addr);

		if (!falls_into(handle, code, i))
			continue;
		out->addr = fn - i;
		out->cost = emulated(code, i) ? PLACE_EMULATED : PLACE_SINGLE_STEP;
		found = true;
		if (out->cost == PLACE_EMULATED)
			break;
	}
	cs_close(&handle);
	return found ? 0 : -ENOENT;
}

size_t place__data_refs(const void *code, size_t size, uint64_t addr, place_read_word read_word, void *ctx, uint64_t *out,
			size_t max)
{
	x86_reg base = X86_REG_INVALID;
	uint64_t base_value = 0;
	size_t cnt, i, found = 0;
	cs_insn *insn;
	csh handle;

	if (disasm_open(&handle))
		return 0;
	cnt = cs_disasm(handle, code, size, addr, 24, &insn);
	for (i = 0; i < cnt && found < max; i++) {
		const cs_x86 *x = &insn[i].detail->x86;

		for (uint8_t k = 0; k < x->op_count && found < max; k++) {
			const cs_x86_op *op = &x->operands[k];
			uint64_t ref;

			if (op->type != X86_OP_MEM || op->mem.index != X86_REG_INVALID)
				continue;
			if (op->mem.base == X86_REG_RIP)
				ref = insn[i].address + insn[i].size + op->mem.disp;
			else if (op->mem.base == X86_REG_INVALID && op->mem.segment == X86_REG_INVALID)
				ref = op->mem.disp;
			else if (base != X86_REG_INVALID && op->mem.base == base)
				ref = base_value + op->mem.disp;
			else
				continue;
			out[found++] = ref;
			if (insn[i].id == X86_INS_MOV && k == 1 && x->operands[0].type == X86_OP_REG &&
			    op->mem.base == X86_REG_RIP && !read_word(ctx, ref, &base_value))
				base = x->operands[0].reg;
		}
		if (insn[i].id == X86_INS_LEA && x->op_count == 2 && x->operands[1].type == X86_OP_MEM &&
		    x->operands[1].mem.base == X86_REG_RIP) {
			base = x->operands[0].reg;
			base_value = insn[i].address + insn[i].size + x->operands[1].mem.disp;
		}
		if (cs_insn_group(handle, &insn[i], X86_GRP_RET))
			break;
	}
	if (cnt)
		cs_free(insn, cnt);
	cs_close(&handle);
	return found;
}

int place__tail(const void *code, size_t size, uint64_t addr, struct place *out)
{
	const cs_x86 *mov, *jmp;
	cs_insn *insn;
	csh handle;
	size_t cnt, i;
	int err = -ENOENT;

	if (disasm_open(&handle))
		return -ENOMEM;
	cnt = cs_disasm(handle, code, size, addr, 3, &insn);
	i = cnt && insn[0].id == X86_INS_ENDBR64;
	if (cnt >= i + 2 && insn[i].id == X86_INS_MOV && insn[i + 1].id == X86_INS_JMP) {
		mov = &insn[i].detail->x86;
		jmp = &insn[i + 1].detail->x86;
		if (mov->operands[0].type == X86_OP_REG && mov->operands[0].reg == X86_REG_RDI &&
		    mov->operands[1].type == X86_OP_REG && mov->operands[1].reg == X86_REG_RSI && jmp->operands[0].type == X86_OP_IMM) {
			*out = (struct place){ jmp->operands[0].imm, PLACE_SINGLE_STEP, { ARG_DI, ARG_DX } };
			err = 0;
		}
	}
	if (cnt)
		cs_free(insn, cnt);
	cs_close(&handle);
	return err;
}
