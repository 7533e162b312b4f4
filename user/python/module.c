// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "module.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MODULES_MAX = 1024 };

enum module_kind { MODULE_OTHER, MODULE_CPYTHON, MODULE_PYPY };

struct search {
	struct py_interp *py;
	const struct proc_maps *maps;
	char exe[4096];
	bool pypy;
	bool exe_mapped;
	bool nameless;        /* the executable is an interpreter without symbols */
	bool wants_libpython; /* the executable does: it may not be loaded yet */
	int open_error;
};

static const char *basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_symbol(const struct elf_file *elf, const char *name)
{
	struct elf_sym sym;

	return !elf_file__symbol(elf, name, &sym);
}

static enum module_kind classify(const struct elf_file *elf)
{
	if (has_symbol(elf, "_PyRuntime"))
		return MODULE_CPYTHON;
	if (has_symbol(elf, "rpython_startup_code") || has_symbol(elf, "pypy_main_startup"))
		return MODULE_PYPY;
	/* 2.7-3.6: the state is in separate variables. */
	return has_symbol(elf, "PyInterpreterState_Head") ? MODULE_CPYTHON : MODULE_OTHER;
}

bool module__is_cpython(const struct elf_file *elf)
{
	return classify(elf) == MODULE_CPYTHON;
}

static int place_module(struct py_interp *py, const struct proc_maps *maps, const struct proc_map *map)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(py->elf, &segs);
	const uint64_t page = 4096;
	int err = elf_file__bias(py->elf, map->start, map->file_off, &py->bias);

	if (err)
		return err;
	py->module_start = UINT64_MAX;
	for (size_t i = 0; i < cnt; i++) {
		uint64_t start = (segs[i].addr & -page) + py->bias;
		uint64_t end = ((segs[i].addr + segs[i].mem_size + page - 1) & -page) + py->bias;

		if (start < py->module_start)
			py->module_start = start;
		if (end > py->module_end)
			py->module_end = end;
	}
	return proc_maps__find(maps, py->module_start) ? 0 : -ENOEXEC;
}

/* 0: the executable, 1: called like a Python library, 2: anything else */
static int rank_map(const struct search *s, const struct proc_map *map)
{
	if (!strcmp(map->path, s->exe))
		return 0;
	return strstr(basename_of(map->path), "python") || strstr(basename_of(map->path), "pypy") ? 1 : 2;
}

/* An interpreter that was linked in and then stripped: its text is there, its names are not. */
static bool is_nameless_cpython(const struct elf_file *elf)
{
	static const char text[] = "PYTHONHASHSEED";
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(elf, &segs);

	for (size_t i = 0; i < cnt; i++) {
		const void *bytes = segs[i].w ? NULL : elf_file__bytes(elf, segs[i].addr, segs[i].file_size);

		if (bytes && memmem(bytes, segs[i].file_size, text, sizeof(text)))
			return true;
	}
	return false;
}

/* 0: this is it. -ENOENT: it is not. */
static int try_module(struct search *s, const struct proc_map *map)
{
	struct py_interp *py = s->py;
	enum module_kind kind;
	int err;

	err = process__open_path(&py->proc, map, py->open_path, sizeof(py->open_path));
	if (!err)
		err = elf_file__open(py->open_path, &py->elf);
	if (err) {
		if (err != -ENOEXEC)
			s->open_error = err;
		return -ENOENT;
	}
	kind = classify(py->elf);
	s->pypy |= kind == MODULE_PYPY;
	if (kind == MODULE_CPYTHON && !place_module(py, s->maps, map)) {
		snprintf(py->module_path, sizeof(py->module_path), "%s", map->path);
		py->shared = strcmp(map->path, s->exe) != 0;
		return 0;
	}
	if (!rank_map(s, map)) {
		s->wants_libpython = elf_file__needs(py->elf, "libpython");
		s->nameless = kind == MODULE_OTHER && is_nameless_cpython(py->elf);
	}
	elf_file__close(py->elf);
	py->elf = NULL;
	return -ENOENT;
}

static int search_rank(struct search *s, int rank)
{
	const struct proc_map *map;
	uint64_t last_inode = 0;
	int tried = 0;

	for (size_t i = 0; i < s->maps->cnt && tried < MODULES_MAX; i++) {
		map = &s->maps->maps[i];
		if (!map->x || !map->inode || !map->path || map->path[0] != '/')
			continue;
		if (map->inode == last_inode || rank_map(s, map) != rank)
			continue;
		last_inode = map->inode;
		s->exe_mapped |= !rank;
		tried++;
		if (!try_module(s, map))
			return 0;
		/* Once a PyPy was seen, there is no use in opening all its extensions. */
		if (s->pypy)
			return -ENOENT;
	}
	return -ENOENT;
}

int module__find(struct py_interp *py, const struct proc_maps *maps, const struct reason *why)
{
	struct search s = { .py = py, .maps = maps };
	char gap[600];
	int err;

	err = process__exe(&py->proc, s.exe, sizeof(s.exe));
	if (err == -ENOENT)
		return reason__set(why, -ENOEXEC, "it does not tell which files were mapped (NT_FILE)");
	if (err)
		return reason__set(why, err == -EACCES ? -EPERM : err, "cannot read the executable's name of process %d",
				   py->pid);
	for (int rank = 0; rank < 3; rank++) {
		if (!search_rank(&s, rank))
			return 0;
		if (s.pypy)
			return reason__set(why, -ENOEXEC, "process %d (%s) is PyPy; only CPython can be traced", py->pid,
					   s.exe);
	}
	if (process__gap(&py->proc, gap, sizeof(gap)))
		return reason__set(why, -ENOEXEC, "no CPython found in process %d (%s): %s", py->pid, s.exe, gap);
	/* exec replaces the name and the mappings one after the other. */
	if (s.wants_libpython || !s.exe_mapped)
		return reason__set(why, -EAGAIN, "the Python in process %d is not loaded yet", py->pid);
	if (s.nameless)
		return reason__set(why, -EOPNOTSUPP, "process %d (%s) has an interpreter without symbols in it (linked statically, then "
				   "stripped): nothing tells where it is", py->pid, s.exe);
	if (s.open_error)
		return reason__set(why, s.open_error == -EACCES || s.open_error == -EPERM ? -EPERM : -ENOEXEC,
				   "no CPython found in process %d (%s), and not all its files could be opened: %s", py->pid,
				   s.exe, strerror(-s.open_error));
	return reason__set(why, -ENOEXEC, "process %d (%s) is no CPython", py->pid, s.exe);
}

uint64_t module__returned_variable(const struct py_interp *py, const char *function)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const uint8_t *code;
	struct elf_sym sym;
	uint64_t next;
	int32_t disp;
	size_t len;

	if (elf_file__symbol(py->elf, function, &sym))
		return 0;
	code = elf_file__bytes(py->elf, sym.addr, 16);
	next = sym.addr;
	if (code && !memcmp(code, endbr64, sizeof(endbr64))) {
		code += sizeof(endbr64);
		next += sizeof(endbr64);
	}
	/* mov disp32(%rip),%rax or, without the prefix, %eax; ret */
	len = code && code[0] == 0x48 ? 7 : 6;
	if (!code || code[len - 6] != 0x8b || code[len - 5] != 0x05 || code[len] != 0xc3)
		return 0;
	memcpy(&disp, code + len - 4, sizeof(disp));
	return next + len + disp + py->bias;
}

uint64_t module__symbol(const struct py_interp *py, const char *name)
{
	struct elf_sym sym;

	return elf_file__symbol(py->elf, name, &sym) ? 0 : sym.addr + py->bias;
}
