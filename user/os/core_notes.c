// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "core_notes.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "fds.h"

enum {
	NOTES_MAX = 1 << 20, /* a thread has some five */
	FILE_PATH_MAX_BYTES = 4096 + 16,
	THREADS_MAX = 1 << 16,
	AUXV_MAX = 64,
	FILE_NOTE_MAX_BYTES = 32 << 20, /* the kernel's own limit is 4 MiB */
	FILE_NOTE_HEAD_BYTES = 16,
	FILE_NOTE_ENTRY_BYTES = 24,
};

static const char deleted_suffix[] = " (deleted)";

struct note {
	uint64_t off, bytes; /* of the description */
	uint32_t type;
};

/* Of a structure what is there of it; the rest is zeros. */
static int read_desc(int fd, const struct note *n, void *out, size_t size)
{
	memset(out, 0, size);
	return fds__read_at(fd, n->off, out, size < n->bytes ? size : n->bytes);
}

static int take_status(int fd, const struct note *n, struct core_notes *out)
{
	struct elf_prstatus status;
	struct user_regs_struct regs;
	int err = read_desc(fd, n, &status, sizeof(status));
	uint64_t *bigger;

	if (err || n->bytes < sizeof(status) || out->thread_cnt == THREADS_MAX)
		return err;
	if (!(out->thread_cnt & (out->thread_cnt - 1))) {
		bigger = realloc(out->stack_pointers, (out->thread_cnt ? 2 * out->thread_cnt : 1) * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		out->stack_pointers = bigger;
	}
	memcpy(&regs, &status.pr_reg, sizeof(regs));
	out->stack_pointers[out->thread_cnt++] = regs.rsp;
	if (!out->pid && status.pr_pid > 0)
		out->pid = status.pr_pid;
	return 0;
}

/* Unlike NT_PRSTATUS, which is of a thread, it has the number of the process. */
static int take_process(int fd, const struct note *n, struct core_notes *out)
{
	struct elf_prpsinfo info;
	int err = read_desc(fd, n, &info, sizeof(info));

	if (err || n->bytes < sizeof(info))
		return err;
	out->pid = info.pr_pid > 0 ? info.pr_pid : out->pid;
	out->ppid = info.pr_ppid > 0 ? info.pr_ppid : 0;
	out->uid = info.pr_uid;
	memcpy(out->comm, info.pr_fname, sizeof(info.pr_fname));
	out->comm[sizeof(info.pr_fname)] = '\0';
	return 0;
}

static int take_auxv(int fd, const struct note *n, struct core_notes *out)
{
	Elf64_auxv_t auxv[AUXV_MAX];
	int err = read_desc(fd, n, auxv, sizeof(auxv));

	for (int i = 0; i < AUXV_MAX && !err && auxv[i].a_type != AT_NULL; i++) {
		if (auxv[i].a_type == AT_PHDR)
			out->phdr_addr = auxv[i].a_un.a_val;
		else if (auxv[i].a_type == AT_RANDOM)
			out->random_addr = auxv[i].a_un.a_val;
	}
	return err;
}

static void cut_deleted(struct core_mapping *m, char *path)
{
	size_t len = strlen(path), cut = sizeof(deleted_suffix) - 1;

	m->deleted = len >= cut && !strcmp(path + len - cut, deleted_suffix);
	if (m->deleted)
		path[len - cut] = '\0';
	m->path = path;
}

static int by_start(const void *a, const void *b)
{
	const struct core_mapping *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void drop_overlaps(struct core_notes *n)
{
	uint64_t end = 0;
	size_t cnt = 0;

	qsort(n->mappings, n->mapping_cnt, sizeof(*n->mappings), by_start);
	for (size_t i = 0; i < n->mapping_cnt; i++) {
		if (n->mappings[i].start < end)
			continue;
		end = n->mappings[i].end;
		n->mappings[cnt++] = n->mappings[i];
	}
	n->mapping_cnt = cnt;
}

/* fill_files_note(): how many, the unit of offsets (gdb: 1), for each start, end and offset; then as many strings. TEXT ends with a NUL. */
static void parse_files(char *text, size_t size, struct core_notes *out)
{
	uint64_t head[2], entry[3];
	char *path, *end = text + size;

	memcpy(head, text, sizeof(head));
	if (head[0] > (size - FILE_NOTE_HEAD_BYTES) / FILE_NOTE_ENTRY_BYTES || !head[1])
		return;
	path = text + FILE_NOTE_HEAD_BYTES + head[0] * FILE_NOTE_ENTRY_BYTES;
	for (uint64_t i = 0; i < head[0] && path < end; i++) {
		struct core_mapping *m = &out->mappings[out->mapping_cnt];
		size_t len = strlen(path);

		memcpy(entry, text + FILE_NOTE_HEAD_BYTES + i * FILE_NOTE_ENTRY_BYTES, sizeof(entry));
		if (len < FILE_PATH_MAX_BYTES && entry[0] < entry[1] && !__builtin_mul_overflow(entry[2], head[1], &m->file_off)) {
			m->start = entry[0];
			m->end = entry[1];
			cut_deleted(m, path);
			out->mapping_cnt++;
		}
		path += len + 1;
	}
	drop_overlaps(out);
}

static int take_files(int fd, const struct note *n, struct core_notes *out)
{
	int err;

	if (out->text || n->bytes < FILE_NOTE_HEAD_BYTES || n->bytes > FILE_NOTE_MAX_BYTES)
		return 0;
	out->text = malloc(n->bytes + 1);
	out->mappings = calloc(n->bytes / FILE_NOTE_ENTRY_BYTES + 1, sizeof(*out->mappings));
	if (!out->text || !out->mappings)
		return -ENOMEM;
	err = read_desc(fd, n, out->text, n->bytes);
	out->text[n->bytes] = '\0';
	if (!err)
		parse_files(out->text, n->bytes, out);
	return err;
}

static int take(int fd, const struct note *n, struct core_notes *out)
{
	switch (n->type) {
	case NT_PRSTATUS:
		return take_status(fd, n, out);
	case NT_PRPSINFO:
		return take_process(fd, n, out);
	case NT_AUXV:
		return take_auxv(fd, n, out);
	case NT_FILE:
		return take_files(fd, n, out);
	default:
		return 0;
	}
}

static uint64_t padded(uint32_t bytes)
{
	return ((uint64_t)bytes + 3) & ~3ULL;
}

int core_notes__read(int fd, uint64_t off, uint64_t size, struct core_notes *out)
{
	uint64_t at = 0, next;
	char name[5];
	Elf64_Nhdr head;
	int err = 0;

	for (; out->seen_cnt < NOTES_MAX && !err && size - at >= sizeof(head); out->seen_cnt++, at = next) {
		struct note n;

		err = fds__read_at(fd, off + at, &head, sizeof(head));
		if (err)
			break;
		n = (struct note){ off + at + sizeof(head) + padded(head.n_namesz), head.n_descsz, head.n_type };
		next = at + sizeof(head) + padded(head.n_namesz) + padded(head.n_descsz);
		if (next > size)
			break;
		if (head.n_namesz != sizeof(name))
			continue;
		err = fds__read_at(fd, off + at + sizeof(head), name, sizeof(name));
		if (!err && !memcmp(name, "CORE", sizeof(name)))
			err = take(fd, &n, out);
	}
	return err == -ENODATA ? 0 : err;
}

void core_notes__free(struct core_notes *n)
{
	free(n->stack_pointers);
	free(n->mappings);
	free(n->text);
	*n = (struct core_notes){ 0 };
}
