// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"
#include "overlay.h"
#include "procfs.h"
#include "python.h"
#include "reach.h"
#include "uprobe.h"

#define CODE_BYTES 64
#define PLACE_BYTES 16 /* the longest instruction has 15 */
#define LAYERS_MAX 512
#define BREAKPOINT 0xcc

/* Exported by every CPython; the probes are in the functions behind them. */
static const char *const symbols[] = { "PyObject_Malloc", "PyObject_Free", "PyMem_Malloc", "PyMem_Free", "PyMem_RawMalloc" };
#define SYMBOLS (sizeof(symbols) / sizeof(symbols[0]))

bool reach__has_probe(const struct py_interp *py, uint64_t addr)
{
	const uint8_t *there = elf_file__bytes(py->elf, addr - py->bias, 1);
	uint8_t now;

	return there && !remote__read(&py->mem, addr, &now, 1) && now != *there;
}

/* But for what a probe of somebody's may have put there: a breakpoint, or a call where there was a long nop (kernel 6.18). */
static bool same_code(const uint8_t *file, const uint8_t *memory, size_t size)
{
	static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

	for (size_t i = 0; i < size; i++) {
		size_t left = size - i < sizeof(nop5) ? size - i : sizeof(nop5);

		if (file[i] == memory[i] || memory[i] == BREAKPOINT)
			continue;
		if (memcmp(file + i, nop5, left) != 0)
			return false;
		i += sizeof(nop5) - 1;
	}
	return true;
}

bool reach__is_unchanged(const struct py_interp *py, uint64_t addr)
{
	const uint8_t *file = elf_file__bytes(py->elf, addr - py->bias, PLACE_BYTES);
	uint8_t memory[PLACE_BYTES];

	/* At the very end of the text there are no 16 bytes: nobody's code ends with an allocator. */
	return file && !remote__read(&py->mem, addr, memory, PLACE_BYTES) && same_code(file, memory, PLACE_BYTES);
}

/* A place without a probe, to try one at. -ENOENT: none; -EINVAL: memory has other code than the file. */
static int find_free_place(const struct py_interp *py, uint64_t *addr)
{
	const uint8_t *file;
	uint8_t memory[CODE_BYTES];
	struct elf_sym sym;
	int err = -ENOENT;

	for (size_t i = 0; i < SYMBOLS; i++) {
		if (elf_file__symbol(py->elf, symbols[i], &sym))
			continue;
		file = elf_file__bytes(py->elf, sym.addr, CODE_BYTES);
		if (!file || remote__read(&py->mem, sym.addr + py->bias, memory, CODE_BYTES))
			continue;
		if (!same_code(file, memory, CODE_BYTES))
			return -EINVAL;
		if (err && *file == *memory) {
			*addr = sym.addr + py->bias;
			err = 0;
		}
	}
	return err;
}

/* Sets a probe that does nothing, looks, and takes it away. -ESTALE: it did not arrive. */
static int try_path(const struct py_interp *py, const char *path, uint64_t addr)
{
	const struct uprobe_target target = { .path = path, .pid = py->pid };
	struct uprobe_links links = {};
	int prog_fd = uprobe__empty_program(false), err;
	uint64_t off;

	if (prog_fd < 0)
		return prog_fd;
	err = elf_file__addr_to_off(py->elf, addr - py->bias, &off);
	err = err ?: uprobe__attach(&target, prog_fd, &off, NULL, 1, false, &links);
	if (!err && !reach__has_probe(py, addr))
		err = -ESTALE;
	uprobe_links__close(&links);
	close(prog_fd);
	return err;
}

static bool same_text(const struct elf_file *a, const struct elf_file *b)
{
	const struct elf_segment *as, *bs;
	size_t cnt = elf_file__segments(a, &as);

	if (elf_file__segments(b, &bs) != cnt)
		return false;
	for (size_t i = 0; i < cnt; i++) {
		const void *x = elf_file__bytes(a, as[i].addr, as[i].file_size), *y;

		if (memcmp(&as[i], &bs[i], sizeof(as[i])) != 0)
			return false;
		if (!as[i].x)
			continue;
		y = elf_file__bytes(b, bs[i].addr, bs[i].file_size);
		if (!x || !y || memcmp(x, y, as[i].file_size) != 0)
			return false;
	}
	return true;
}

/* The name comes from a mount that a stranger may have made: nothing but a regular file is opened. */
static bool is_same_program(const struct py_interp *py, const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	struct elf_file *elf = NULL;
	char self[32];
	struct stat st;
	bool same;

	if (fd < 0)
		return false;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	same = !fstat(fd, &st) && S_ISREG(st.st_mode) && !elf_file__open(self, &elf) && same_text(elf, py->elf);
	elf_file__close(elf);
	close(fd);
	return same;
}

static int try_layers(struct py_interp *py, const struct overlay *o, uint64_t addr)
{
	char dir[4096], path[sizeof(py->open_path)];
	int err = 0, len;

	/* As seen from here, and as the target sees it: it may have mounted the overlay itself. */
	for (size_t n = 0; n < 2 * LAYERS_MAX && err != -ENOENT; n++) {
		err = overlay__lower(o, n / 2, dir, sizeof(dir));
		if (err || dir[0] != '/')
			continue;
		if (n % 2)
			len = snprintf(path, sizeof(path), "/proc/%d/root%s%s", py->pid, dir, o->rel);
		else
			len = snprintf(path, sizeof(path), "%s%s", dir, o->rel);
		if (len < 0 || (size_t)len >= sizeof(path) || !is_same_program(py, path) || try_path(py, path, addr))
			continue;
		memcpy(py->open_path, path, sizeof(path));
		return 0;
	}
	return -ESTALE;
}

static int look_through_layers(struct py_interp *py, uint64_t addr)
{
	char *mountinfo = NULL;
	struct overlay o;
	int err;

	err = procfs__mountinfo(py->pid, &mountinfo);
	err = err ?: overlay__find(mountinfo, py->module_path, &o);
	err = err ? -ESTALE : try_layers(py, &o, addr);
	free(mountinfo);
	return err;
}

int reach__find_path(struct py_interp *py, char *why, size_t why_size)
{
	uint64_t addr = 0;
	int err;

	err = find_free_place(py, &addr);
	if (err == -ENOENT)
		return 0; /* the probes themselves will tell */
	if (!err && overlay__is_below(py->open_path)) {
		err = try_path(py, py->open_path, addr);
		err = err == -ESTALE ? look_through_layers(py, addr) : 0;
	}
	if (err == -EINVAL)
		snprintf(why, why_size, "the code of process %d in memory is not that of %s: the file was overwritten since, or something has patched "
			 "the code; restart the process", py->pid, py->module_path);
	else if (err)
		snprintf(why, why_size, "%s was changed since process %d started (copied up in its overlay), and the original cannot be reached from "
			 "here: restart the process", py->module_path, py->pid);
	return err;
}
