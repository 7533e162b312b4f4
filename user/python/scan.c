// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "elf_file.h"
#include "map.h"
#include "module.h"
#include "procfs.h"
#include "scan.h"

enum {
	FILES_MAX = 65536, /* more are looked at, but not remembered */
	MODULES_MAX = 1024, /* of one process, as in module.c */
};

/* A number is given to another file once the first is gone; its times then differ. */
struct file_key {
	uint64_t dev, inode, size, change_ns;
};

struct py_scan {
	struct map files; /* file_key -> bool */
	size_t opened;
};

struct py_scan *py_scan__new(void)
{
	struct py_scan *s = calloc(1, sizeof(*s));

	if (s)
		map__init(&s->files, sizeof(struct file_key), sizeof(bool));
	return s;
}

void py_scan__free(struct py_scan *s)
{
	if (!s)
		return;
	map__free(&s->files);
	free(s);
}

size_t py_scan__files(const struct py_scan *s)
{
	return s->opened;
}

static bool look_into(struct py_scan *s, const char *path)
{
	struct elf_file *elf;
	bool python;

	s->opened++;
	if (elf_file__open(path, &elf))
		return false;
	python = module__is_cpython(elf);
	elf_file__close(elf);
	return python;
}

static int file_is_python(struct py_scan *s, const char *path)
{
	struct file_key key;
	struct stat st;
	bool *known;

	memset(&key, 0, sizeof(key));
	if (stat(path, &st))
		return 0;
	key.dev = st.st_dev;
	key.inode = st.st_ino;
	key.size = st.st_size;
	key.change_ns = st.st_ctim.tv_sec * 1000000000ULL + st.st_ctim.tv_nsec;
	known = map__get(&s->files, &key);
	if (known)
		return *known;
	if (s->files.cnt >= FILES_MAX)
		return look_into(s, path);
	known = map__put(&s->files, &key, NULL);
	if (!known)
		return -ENOMEM;
	*known = look_into(s, path);
	return *known;
}

static int look_at_maps(struct py_scan *s, pid_t pid, const struct proc_maps *maps)
{
	uint64_t last_inode = 0;
	char path[4096 + 64];
	int found = 0, tried = 0;

	for (size_t i = 0; i < maps->cnt && !found && tried < MODULES_MAX; i++) {
		const struct proc_map *map = &maps->maps[i];

		if (!map->x || !map->inode || !map->path || map->path[0] != '/' || map->inode == last_inode)
			continue;
		last_inode = map->inode;
		tried++;
		if (!procfs__open_path(pid, map, path, sizeof(path)))
			found = file_is_python(s, path);
	}
	return found;
}

int py_scan__is_python(struct py_scan *s, pid_t pid)
{
	struct proc_maps maps;
	int found = procfs__maps(pid, &maps);

	if (found)
		return found == -EACCES ? -EPERM : found;
	found = look_at_maps(s, pid, &maps);
	proc_maps__free(&maps);
	return found;
}
