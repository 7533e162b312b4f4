// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "alloc_probes.h"
#include "elf_file.h"

#define GROUPS_MAX 24
#define GROUP_PLACES (TABLE_CNT * OP_CNT)

/* A function that serves the raw domain too may be called without the GIL. */
static bool is_raw(const struct allocators *a, enum alloc_table t)
{
	return t == TABLE_RAW || a->any_is_raw;
}

static bool is_there(const struct alloc_slot *slot)
{
	return slot->fn; /* 2.7 lacks some */
}

static int place_of(const struct alloc_probes *p, const struct alloc_slot *slot, uint64_t *off)
{
	uint64_t addr = p->at_entry ? slot->fn : slot->probe.addr;

	return elf_file__addr_to_off(slot->file->elf, addr - slot->file->bias, off);
}

static bool is_at(const struct alloc_probe *probe, const struct alloc_slot *slot, uint64_t off)
{
	return probe->off == off && elf_file__same(probe->elf, slot->file->elf);
}

static struct alloc_probe *find(struct alloc_probes *p, const struct alloc_slot *slot, uint64_t off, bool raw, enum alloc_op op)
{
	for (size_t i = 0; i < p->cnt; i++)
		if (is_at(&p->list[i], slot, off) && p->list[i].raw == raw && p->list[i].op == op)
			return &p->list[i];
	return NULL;
}

static bool agreed(const struct alloc_probes *p, bool raw, enum alloc_op op, const struct alloc_slot *slot)
{
	return !memcmp(p->arg_regs[raw][op], slot->probe.arg_regs, op == OP_MALLOC || op == OP_FREE ? 1 : 2);
}

static void agree(struct alloc_probes *p, struct allocators *a, bool raw, enum alloc_op op)
{
	bool first = true, all = true;

	for (int t = 0; t < TABLE_CNT; t++) {
		if (is_raw(a, t) != raw || !is_there(&a->slots[t][op]))
			continue;
		if (first)
			memcpy(p->arg_regs[raw][op], a->slots[t][op].probe.arg_regs, 2);
		first = false;
		all = all && agreed(p, raw, op, &a->slots[t][op]);
	}
	for (int t = 0; t < TABLE_CNT && !all; t++)
		if (is_raw(a, t) == raw && is_there(&a->slots[t][op]))
			a->slots[t][op].probe = (struct place){ a->slots[t][op].fn, PLACE_SINGLE_STEP, { ARG_SI, ARG_DX } };
	if (!all)
		memcpy(p->arg_regs[raw][op], (uint8_t[]){ ARG_SI, ARG_DX }, 2);
}

void alloc_probes__agree(struct alloc_probes *p, struct allocators *a)
{
	for (int i = 0; i < 2 * OP_CNT; i++)
		agree(p, a, i / OP_CNT, i % OP_CNT);
}

/* The return program first: an entry that is seen must not lack its return. */
static int attach_probe(const struct alloc_probes *p, const struct alloc_slot *slot, const char *path, struct alloc_probe *probe)
{
	const struct uprobe_target target = { path && slot->file->interpreter ? path : slot->file->path, p->pid, p->multi };
	int entry = p->programs.entry[probe->raw][probe->op], err = 0;
	uint64_t cookie = PLACE_COOKIE(slot->probe.arg_regs[0], slot->probe.arg_regs[1]);

	if (probe->op != OP_FREE)
		err = uprobe__attach(&target, p->programs.ret[probe->raw][probe->op], &probe->off, NULL, 1, true, &probe->links);
	if (err)
		return err;
	return p->multi ? uprobe__attach_cookies(&target, entry, &probe->off, &cookie, 1, &probe->links) :
			  uprobe__attach(&target, entry, &probe->off, NULL, 1, false, &probe->links);
}

static int attach_slot(struct alloc_probes *p, const struct alloc_slot *slot, bool raw, enum alloc_op op, const char *path)
{
	struct alloc_probe probe = { .raw = raw, .op = op };
	int err = place_of(p, slot, &probe.off);

	if (err || find(p, slot, probe.off, raw, op))
		return err;
	if (!p->multi && !agreed(p, raw, op, slot))
		return -EOPNOTSUPP;
	if (p->cnt == ALLOC_PROBES_MAX)
		return -E2BIG;
	err = attach_probe(p, slot, path, &probe);
	if (err) {
		uprobe_links__close(&probe.links);
		return err;
	}
	probe.elf = elf_file__ref(slot->file->elf);
	p->list[p->cnt++] = probe;
	return 0;
}

static bool is_hot(enum alloc_table t, enum alloc_op op)
{
	return t != TABLE_RAW && (op == OP_MALLOC || op == OP_FREE);
}

static int attach_part(struct alloc_probes *p, const struct allocators *a, const char *path, bool hot)
{
	int err = 0;

	for (int t = 0; t < TABLE_CNT && !err; t++)
		for (int op = 0; op < OP_CNT && !err; op++)
			if (is_there(&a->slots[t][op]) && is_hot(t, op) == hot)
				err = attach_slot(p, &a->slots[t][op], is_raw(a, t), op, path);
	return err;
}

int alloc_probes__attach(struct alloc_probes *p, const struct allocators *a, const char *path)
{
	return attach_part(p, a, path, false) ?: attach_part(p, a, path, true);
}

/* Places that one link can take: of one program in one file. */
struct group {
	const struct code_file *file;
	int program;
	bool makes, returns;
	uint64_t offs[GROUP_PLACES], cookies[GROUP_PLACES];
	size_t cnt;
};

struct groups {
	struct group list[GROUPS_MAX];
	size_t cnt;
};

static int add_to_group(struct groups *all, const struct group *like, uint64_t off, uint64_t cookie)
{
	struct group *g = all->list;

	while (g < all->list + all->cnt && !(g->program == like->program && g->returns == like->returns && g->makes == like->makes &&
					     elf_file__same(g->file->elf, like->file->elf)))
		g++;
	if (g == all->list + all->cnt) {
		if (all->cnt == GROUPS_MAX)
			return -E2BIG;
		all->list[all->cnt++] = *like;
	}
	for (size_t i = 0; i < g->cnt; i++)
		if (g->offs[i] == off)
			return 0;
	if (g->cnt == GROUP_PLACES)
		return -E2BIG;
	g->cookies[g->cnt] = cookie;
	g->offs[g->cnt++] = off;
	return 0;
}

static int add_slot(const struct alloc_probes *p, const struct alloc_slot *slot, bool raw, enum alloc_op op, struct groups *all)
{
	struct group entry = { .file = slot->file, .program = p->programs.entry[raw][op], .makes = op == OP_MALLOC || op == OP_CALLOC };
	struct group ret = entry;
	uint64_t off;
	int err = place_of(p, slot, &off);

	if (!err && !p->multi && !agreed(p, raw, op, slot))
		err = -EOPNOTSUPP;
	if (!err && op != OP_FREE) {
		ret.program = p->programs.ret[raw][op];
		ret.returns = true;
		err = add_to_group(all, &ret, off, 0);
	}
	return err ?: add_to_group(all, &entry, off, PLACE_COOKIE(slot->probe.arg_regs[0], slot->probe.arg_regs[1]));
}

static int attach_group(const struct alloc_probes *p, const struct group *g, const char *path, struct uprobe_links *links)
{
	const struct uprobe_target target = { path && g->file->interpreter ? path : g->file->path, p->pid, p->multi };

	return p->multi && !g->returns ? uprobe__attach_cookies(&target, g->program, g->offs, g->cookies, g->cnt, links) :
					 uprobe__attach(&target, g->program, g->offs, NULL, g->cnt, g->returns, links);
}

int alloc_probes__attach_briefly(const struct alloc_probes *p, const struct allocators *a, const char *path, bool hot,
				 struct uprobe_links *makes, struct uprobe_links *others)
{
	struct groups all = {};
	int err = 0;

	for (int t = 0; t < TABLE_CNT && !err; t++)
		for (int op = 0; op < OP_CNT && !err; op++)
			if (is_there(&a->slots[t][op]) && is_hot(t, op) == hot)
				err = add_slot(p, &a->slots[t][op], is_raw(a, t), op, &all);
	/* The end of what is recorded must be seen; an entry that is seen must not lack its return. */
	for (int turn = 0; turn < 4; turn++)
		for (size_t i = 0; i < all.cnt && !err; i++)
			if (all.list[i].makes == (turn >= 2) && all.list[i].returns == (turn % 2 == 0))
				err = attach_group(p, &all.list[i], path, all.list[i].makes ? makes : others);
	return err;
}

int alloc_probes__attach_large(const struct alloc_probes *p, const struct allocators *a, const char *path, struct uprobe_links *links)
{
	const struct alloc_slot *slots = a->slots[TABLE_RAW];
	struct groups all = {};
	uint64_t off;
	int err = !is_there(&slots[OP_MALLOC]) ? -ENOENT : !p->multi && !agreed(p, true, OP_REALLOC, &slots[OP_REALLOC]) ? -EOPNOTSUPP : 0;

	for (int op = 0; op < OP_FREE && !err; op++) {
		const struct group ret = { .file = slots[op].file, .program = p->programs.large_ret, .returns = true };
		const struct group entry = { .file = slots[op].file, .program = p->programs.large_realloc };

		err = place_of(p, &slots[op], &off);
		err = err ?: add_to_group(&all, &ret, off, 0);
		if (op == OP_REALLOC)
			err = err ?: add_to_group(&all, &entry, off, PLACE_COOKIE(slots[op].probe.arg_regs[0], slots[op].probe.arg_regs[1]));
	}
	for (int returns = 1; returns >= 0; returns--)
		for (size_t i = 0; i < all.cnt && !err; i++)
			if (all.list[i].returns == returns)
				err = attach_group(p, &all.list[i], path, links);
	if (err)
		uprobe_links__close(links);
	return err;
}

static bool wanted(const struct alloc_probes *p, const struct allocators *a, const struct alloc_probe *probe)
{
	for (int t = 0; t < TABLE_CNT; t++) {
		const struct alloc_slot *slot = &a->slots[t][probe->op];
		uint64_t off;

		if (is_there(slot) && is_raw(a, t) == probe->raw && !place_of(p, slot, &off) && is_at(probe, slot, off))
			return true;
	}
	return false;
}

static void leave(struct alloc_probe *probe, struct uprobe_links *links)
{
	if (uprobe_links__move(links, &probe->links))
		uprobe_links__close(&probe->links);
	elf_file__close(probe->elf);
}

void alloc_probes__retire(struct alloc_probes *p, const struct allocators *a)
{
	bool crowded = p->cnt > ALLOC_PROBES_MAX / 2;
	struct uprobe_links old = {};
	size_t kept = 0;

	for (size_t i = 0; i < p->cnt; i++) {
		struct alloc_probe *probe = &p->list[i];

		if (wanted(p, a, probe) || (probe->op == OP_FREE && !crowded))
			p->list[kept++] = *probe;
		else
			leave(probe, &old);
	}
	p->cnt = kept;
	uprobe_links__close(&old);
}

void alloc_probes__detach(struct alloc_probes *p, struct uprobe_links *links)
{
	for (size_t i = 0; i < p->cnt; i++)
		leave(&p->list[i], links);
	p->cnt = 0;
}
