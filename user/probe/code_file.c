// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "code_file.h"
#include "elf_file.h"
#include "python.h"

int code_files__open(struct code_files *f, pid_t pid)
{
	*f = (struct code_files){};
	return procfs__maps(pid, &f->maps);
}

void code_files__close(struct code_files *f)
{
	for (size_t i = 0; i < f->cnt; i++) {
		elf_file__close(f->files[i]->elf);
		free(f->files[i]);
	}
	proc_maps__free(&f->maps);
	memset(f, 0, sizeof(*f));
}

static int open_interpreter(const struct py_interp *py, struct code_file *file)
{
	memcpy(file->path, py->open_path, sizeof(file->path));
	file->elf = elf_file__ref(py->elf);
	file->interpreter = true;
	file->bias = py->bias;
	file->start = py->module_start;
	file->end = py->module_end;
	return 0;
}

static int open_file(const struct py_interp *py, const struct proc_map *map, struct code_file *file)
{
	int err;

	if (map->start >= py->module_start && map->start < py->module_end)
		return open_interpreter(py, file);
	err = procfs__open_path(py->pid, map, file->path, sizeof(file->path));
	err = err ?: elf_file__open(file->path, &file->elf);
	if (err)
		return err;
	file->dev = map->dev;
	file->inode = map->inode;
	file->start = map->start;
	file->end = map->end;
	err = elf_file__bias(file->elf, map->start, map->file_off, &file->bias);
	if (err)
		elf_file__close(file->elf);
	return err;
}

int code_files__at(struct code_files *f, const struct py_interp *py, uint64_t addr, const struct code_file **out)
{
	const struct proc_map *map = proc_maps__find(&f->maps, addr);
	struct code_file *file;
	int err;

	if (!map || !map->x)
		return -EFAULT;
	for (size_t i = 0; i < f->cnt; i++)
		if (addr >= f->files[i]->start && addr < f->files[i]->end) {
			*out = f->files[i];
			return 0;
		}
	if (!map->inode)
		return -ENOEXEC;
	if (f->cnt == CODE_FILES_MAX)
		return -E2BIG;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	err = open_file(py, map, file);
	if (err) {
		free(file);
		return err;
	}
	f->files[f->cnt++] = file;
	*out = file;
	return 0;
}

bool code_files__same(const struct code_files *f, pid_t pid)
{
	struct proc_maps maps;
	bool same = true;

	if (procfs__maps(pid, &maps))
		return false;
	for (size_t i = 0; i < f->cnt && same; i++) {
		const struct code_file *file = f->files[i];
		const struct proc_map *map = file->interpreter ? NULL : proc_maps__find(&maps, file->start);

		same = file->interpreter || (map && map->start == file->start && map->inode == file->inode && map->dev == file->dev);
	}
	proc_maps__free(&maps);
	return same;
}
