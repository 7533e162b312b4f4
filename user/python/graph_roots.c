// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where ways begin: modules, frames of running threads, variables of the interpreter and of other libraries. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "dict.h"
#include "graph_state.h"
#include "layout.h"
#include "str.h"

enum {
	MODULES_MAX = 65536,
	NAME_MAX_BYTES = 512,
	INTERPS_MAX = 256,
	THREADS_MAX = 16384,
	FRAMES_MAX = 16384, /* of one thread */
	LOCALS_MAX = 4096,
	VARIABLES_MAX_BYTES = 64 << 20, /* of one mapping */
	ELF_HEADERS_MAX = 64,
	FREE_TABLES_MAX = 80, /* PyDict_MAXFREELIST */
};

static bool is_same(const struct graph_root *a, const struct graph_root *b)
{
	if (a->kind != b->kind || a->frame != b->frame || !a->name != !b->name)
		return false;
	return !a->name || !strcmp(a->name, b->name);
}

uint32_t graph__add_root(struct graph *g, const struct graph_root *root)
{
	uint32_t capacity = g->root_capacity ? g->root_capacity * 2 : 256;
	struct graph_root *bigger;

	/* one root for all of a library, and for all garbage: there may be millions */
	if (g->root_cnt && is_same(&g->roots[g->root_cnt - 1], root))
		return GRAPH_ROOTS + g->root_cnt - 1;

	if (g->root_cnt == g->root_capacity) {
		bigger = realloc(g->roots, capacity * sizeof(*bigger));
		if (!bigger) {
			g->err = -ENOMEM;
			return GRAPH_NONE;
		}
		g->roots = bigger;
		g->root_capacity = capacity;
	}
	g->roots[g->root_cnt] = *root;
	if (root->name)
		g->roots[g->root_cnt].name = strdup(root->name);
	return GRAPH_ROOTS + g->root_cnt++;
}

/* Each interpreter of the process, the newest first. */
static void each_interp(struct graph *g, void (*tell)(struct graph *g, uint64_t interp, graph_visit visit), graph_visit visit)
{
	uint64_t interp;

	if (remote__read_u64(&g->py->mem, g->py->interp_head_addr, &interp))
		return;
	for (int i = 0; i < INTERPS_MAX && interp && !g->err; i++) {
		tell(g, interp, visit);
		if (remote__read_u64(&g->py->mem, interp + g->py->layout->interp_next, &interp))
			break;
	}
}

static void modules_of(struct graph *g, uint64_t interp, graph_visit visit)
{
	struct dict_entry *entries = calloc(MODULES_MAX, sizeof(*entries));
	char name[NAME_MAX_BYTES];
	uint64_t modules;
	uint32_t module, root;
	int cnt = -EFAULT;

	if (!entries)
		g->err = -ENOMEM;
	else if (!remote__read_u64(&g->py->mem, interp + g->py->layout->interp_modules, &modules))
		cnt = py_dict__entries(g->py, modules, entries, MODULES_MAX);
	for (int i = 0; i < cnt && !g->err; i++) {
		module = graph__of_word(g, entries[i].value);
		if (module == GRAPH_NONE || g->before[module] != GRAPH_NONE || py_str__read(g->py, entries[i].key, name, sizeof(name)))
			continue;
		root = graph__add_root(g, &(struct graph_root){ .kind = ROOT_MODULE, .name = name });
		if (root != GRAPH_NONE)
			visit(g, root, module, GRAPH_VIA(PLACE_WORD, 0));
	}
	free(entries);
}

void graph__modules(struct graph *g, graph_visit visit)
{
	each_interp(g, modules_of, visit);
}

static uint64_t read_word(const struct graph *g, uint64_t addr)
{
	uint64_t value;

	return remote__read_u64(&g->py->mem, addr, &value) ? 0 : value;
}

static uint64_t newest_frame(const struct graph *g, uint64_t tstate)
{
	const struct py_layout *l = g->py->layout;
	uint64_t frame = read_word(g, tstate + l->tstate_frame);

	return l->cframe_current == NO_OFF || !frame ? frame : read_word(g, frame + l->cframe_current);
}

static uint64_t tuple_len(const struct graph *g, uint64_t tuple)
{
	uint64_t cnt = tuple ? read_word(g, tuple + 16) : 0;

	return cnt < LOCALS_MAX ? cnt : 0;
}

uint64_t graph__locals_cnt(const struct graph *g, uint64_t code)
{
	const struct py_layout *l = g->py->layout;

	if (l->code_localsplus_names != NO_OFF)
		return tuple_len(g, read_word(g, code + l->code_localsplus_names));
	return tuple_len(g, read_word(g, code + l->code_varnames)) + tuple_len(g, read_word(g, code + l->code_cellvars)) +
	       tuple_len(g, read_word(g, code + l->code_freevars));
}

/* The line that FRAME is at. */
static int line_of(const struct graph *g, const struct py_code *code, uint64_t frame, uint64_t code_addr)
{
	const struct py_layout *l = g->py->layout;
	uint64_t at = read_word(g, frame + l->frame_lasti);

	if (l->lasti_kind != LASTI_POINTER)
		return py_code__line(code, l->lasti_kind == LASTI_UNITS ? (int32_t)at * 2 : (int32_t)at);
	at -= code_addr + l->code_instr;
	return at < 1 << 30 ? py_code__line(code, at) : 0;
}

static uint32_t add_frame(struct graph *g, uint64_t frame, uint64_t code_addr)
{
	struct graph_root root = { .kind = ROOT_FRAME, .frame = frame, .code = code_addr };
	struct py_code code;
	uint32_t number;

	if (py_code__read(g->py, code_addr, &code))
		return graph__add_root(g, &root);
	root.name = code.name;
	root.line = line_of(g, &code, frame, code_addr);
	number = graph__add_root(g, &root);
	py_code__free(&code);
	return number;
}

static void visit_words(struct graph *g, uint64_t frame, uint64_t code, uint64_t from, uint64_t cnt, graph_visit visit)
{
	const struct py_layout *l = g->py->layout;
	uint64_t words[LOCALS_MAX];
	uint32_t root = GRAPH_NONE, node;

	if (!cnt || cnt > LOCALS_MAX || remote__read(&g->py->mem, frame + l->frame_locals + 8 * from, words, 8 * cnt))
		return;
	for (uint64_t i = 0; i < cnt && !g->err; i++) {
		node = graph__of_word(g, words[i] & l->frame_code_mask);
		if (node == GRAPH_NONE)
			continue;
		if (root == GRAPH_NONE)
			root = add_frame(g, frame, code);
		if (root != GRAPH_NONE)
			visit(g, root, node, GRAPH_VIA(PLACE_LOCAL, from + i));
	}
}

/* From 3.11 on frames are no objects; before, what they hold is read all the same, so that it has the name of a local variable. */
static void visit_locals(struct graph *g, uint64_t frame, graph_visit visit)
{
	uint64_t code = read_word(g, frame + g->py->layout->frame_code) & g->py->layout->frame_code_mask;

	if (code)
		visit_words(g, frame, code, 0, graph__locals_cnt(g, code), visit);
}

static void visit_stack(struct graph *g, uint64_t frame, graph_visit visit)
{
	uint64_t code = read_word(g, frame + g->py->layout->frame_code) & g->py->layout->frame_code_mask;
	uint32_t size;

	if (code && !remote__read(&g->py->mem, code + g->py->layout->code_stack_size, &size, sizeof(size)))
		visit_words(g, frame, code, graph__locals_cnt(g, code), size, visit);
}

static bool is_python_frame(const struct graph *g, uint64_t frame)
{
	const struct py_layout *l = g->py->layout;
	unsigned char owner;

	return l->frame_owner_cstack == NO_OFF || (!remote__read(&g->py->mem, frame + l->frame_owner, &owner, 1) && owner < l->frame_owner_cstack);
}

static void each_frame(struct graph *g, uint64_t interp, void (*tell)(struct graph *g, uint64_t frame, graph_visit visit), graph_visit visit)
{
	const struct py_layout *l = g->py->layout;
	uint64_t tstate = read_word(g, interp + l->interp_tstate_head), frame;

	for (int i = 0; i < THREADS_MAX && tstate && !g->err; i++) {
		frame = newest_frame(g, tstate);
		for (int k = 0; k < FRAMES_MAX && frame && !g->err; k++) {
			if (is_python_frame(g, frame))
				tell(g, frame, visit);
			frame = read_word(g, frame + l->frame_back);
		}
		tstate = read_word(g, tstate + l->tstate_next);
	}
}

static void locals_of(struct graph *g, uint64_t interp, graph_visit visit)
{
	each_frame(g, interp, visit_locals, visit);
}

static void stacks_of(struct graph *g, uint64_t interp, graph_visit visit)
{
	each_frame(g, interp, visit_stack, visit);
}

static void close_node(struct graph *g, uint64_t addr, bool closed)
{
	uint32_t node = graph__of_word(g, addr & ~7ULL);

	if (node == GRAPH_NONE || graph__tag(g, node) != TAG_BUFFER)
		return;
	g->flags[node] = closed ? g->flags[node] | NODE_OWNED : g->flags[node] & ~NODE_OWNED;
}

static void close_free_tables(struct graph *g, uint64_t interp)
{
	struct py_freelists lists;
	uint64_t tables[FREE_TABLES_MAX];
	uint32_t cnt = 0;

	py_interp__freelists(g->py, &lists);
	if (!lists.known || lists.chains || remote__read(&g->py->mem, interp + lists.keys_cnt, &cnt, sizeof(cnt)) || cnt > FREE_TABLES_MAX ||
	    remote__read(&g->py->mem, interp + lists.keys, tables, cnt * sizeof(tables[0])))
		return;
	for (uint32_t i = 0; i < cnt; i++)
		close_node(g, tables[i], true);
}

static void close_state(struct graph *g, uint64_t interp, bool closed)
{
	uint64_t tstate = read_word(g, interp + g->py->layout->interp_tstate_head);

	close_node(g, interp, closed);
	for (int i = 0; i < THREADS_MAX && tstate; i++, tstate = read_word(g, tstate + g->py->layout->tstate_next))
		close_node(g, tstate, closed);
}

static void close_of(struct graph *g, uint64_t interp, graph_visit visit)
{
	(void)visit;
	close_free_tables(g, interp);
	close_state(g, interp, true);
}

static void open_of(struct graph *g, uint64_t interp, graph_visit visit)
{
	(void)visit;
	close_state(g, interp, false);
}

void graph__close_states(struct graph *g, bool closed)
{
	each_interp(g, closed ? close_of : open_of, NULL);
}

void graph__frames(struct graph *g, graph_visit visit)
{
	each_interp(g, locals_of, visit);
}

void graph__stacks(struct graph *g, graph_visit visit)
{
	each_interp(g, stacks_of, visit);
}

/* Of a file that is mapped for writing, privately: its variables. */
static bool is_variables(const struct proc_map *m)
{
	return m->r && m->w && !m->x && m->inode && m->path && m->end - m->start <= VARIABLES_MAX_BYTES;
}

/* The first mapping of the same file, where its ELF header is. NULL: not mapped from the begin on. */
static const struct proc_map *first_of_file(const struct proc_maps *maps, size_t i)
{
	const struct proc_map *m = &maps->maps[i];

	do {
		if (maps->maps[i].inode == m->inode && maps->maps[i].dev == m->dev && !maps->maps[i].file_off)
			return &maps->maps[i];
	} while (i-- && maps->maps[i].inode == m->inode);
	return NULL;
}

/*
 * Where the variables that begin at M end, those included that are 0 at the start and have a mapping of their own (.bss): what follows may be anybody's,
 * as neighbours without a file are one mapping.
 */
static uint64_t end_of_variables(const struct graph *g, const struct proc_maps *maps, size_t i)
{
	const struct proc_map *m = &maps->maps[i], *first = first_of_file(maps, i);
	Elf64_Phdr headers[ELF_HEADERS_MAX];
	uint64_t base, end = m->end;
	Elf64_Ehdr elf;

	if (!first || remote__read(&g->py->mem, first->start, &elf, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG) ||
	    elf.e_phentsize != sizeof(headers[0]) || elf.e_phnum > ELF_HEADERS_MAX ||
	    remote__read(&g->py->mem, first->start + elf.e_phoff, headers, elf.e_phnum * sizeof(headers[0])))
		return end;
	base = elf.e_type == ET_DYN ? first->start : 0;
	for (int k = 0; k < elf.e_phnum; k++) {
		const Elf64_Phdr *h = &headers[k];
		uint64_t segment_end = base + h->p_vaddr + h->p_memsz;

		if (h->p_type == PT_LOAD && h->p_flags & PF_W && base + h->p_vaddr < m->end && segment_end > end &&
		    segment_end - m->start <= VARIABLES_MAX_BYTES)
			end = segment_end;
	}
	return end;
}

static bool is_of_interpreter(const struct graph *g, const struct proc_map *m)
{
	return m->start >= g->py->module_start && m->start < g->py->module_end;
}

void graph__variables(struct graph *g, bool of_interpreter, graph_visit visit)
{
	struct graph_root root = { .kind = of_interpreter ? ROOT_INTERPRETER : ROOT_LIBRARY };
	struct proc_maps maps;
	const char *slash;
	uint32_t number;
	int err = process__maps(&g->py->proc, &maps);

	if (err) {
		g->err = err == -EACCES ? -EPERM : err;
		return;
	}
	for (size_t i = 0; i < maps.cnt && !g->err; i++) {
		const struct proc_map *m = &maps.maps[i];

		if (!is_variables(m) || is_of_interpreter(g, m) != of_interpreter)
			continue;
		slash = strrchr(m->path, '/');
		root.name = of_interpreter ? NULL : (char *)(slash ? slash + 1 : m->path);
		number = graph__add_root(g, &root);
		if (number != GRAPH_NONE)
			graph__scan_state(g, number, m->start, end_of_variables(g, &maps, i), visit, g);
	}
	proc_maps__free(&maps);
}
