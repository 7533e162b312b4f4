// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is where in a core, and which pages of it are anything. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_state.h"
#include "fds.h"

enum {
	SEGMENTS_MAX = 1 << 20,
	SCAN_BYTES = 256 << 10,
};

/* Of user space with four levels of page tables; with five a process gets more only where it asks for it. */
#define ADDR_MAX (1ULL << 47)

static int refuse(char *why, size_t why_size, const char *text)
{
	snprintf(why, why_size, "%s", text);
	return -ENOEXEC;
}

static bool is_compressed(const unsigned char *head)
{
	return !memcmp(head, "\x28\xb5\x2f\xfd", 4) || !memcmp(head, "\xfd" "7zXZ", 5) || !memcmp(head, "\x1f\x8b", 2) ||
	       !memcmp(head, "\x04\x22\x4d\x18", 4) || !memcmp(head, "BZh", 3);
}

static int read_header(struct core_file *core, Elf64_Ehdr *h, char *why, size_t why_size)
{
	int err;

	memset(h, 0, sizeof(*h));
	err = fds__read_at(core->fd, 0, h, core->size < sizeof(*h) ? core->size : sizeof(*h));
	if (err)
		return err;
	if (!core->size)
		return refuse(why, why_size, "is empty: the core was not written (is there room, and does ulimit -c allow it?)");
	if (is_compressed(h->e_ident))
		return refuse(why, why_size, "is compressed: decompress it first");
	if (memcmp(h->e_ident, ELFMAG, SELFMAG))
		return refuse(why, why_size, "is no core file: it is not in ELF format");
	if (h->e_ident[EI_CLASS] == ELFCLASS32)
		return refuse(why, why_size, "is of a 32-bit process: only 64-bit ones can be read");
	if (core->size < sizeof(*h))
		return refuse(why, why_size, "is cut off within its header");
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return refuse(why, why_size, "is of another machine: only x86-64 can be read");
	if (h->e_type == ET_EXEC || h->e_type == ET_DYN)
		return refuse(why, why_size, "is no core file, but a program or library");
	if (h->e_type != ET_CORE || h->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(why, why_size, "is no core file, or a damaged one");
	return 0;
}

/* From 0xffff on their number is in the first section: elf_core_dump(). */
static int header_cnt(const struct core_file *core, const Elf64_Ehdr *h, size_t *out)
{
	Elf64_Shdr first;
	int err = 0;

	*out = h->e_phnum;
	if (h->e_phnum == PN_XNUM) {
		err = fds__read_at(core->fd, h->e_shoff, &first, sizeof(first));
		*out = err ? 0 : first.sh_info;
	}
	return err;
}

static int read_program_headers(struct core_file *core, const Elf64_Ehdr *h, Elf64_Phdr **out, size_t *cnt, char *why, size_t why_size)
{
	int err = header_cnt(core, h, cnt);

	if (err == -ENODATA || (!err && (h->e_phoff > core->size || *cnt > (core->size - h->e_phoff) / sizeof(**out))))
		return refuse(why, why_size, "is cut off within its headers, or damaged");
	if (err)
		return err;
	if (!*cnt)
		return refuse(why, why_size, "is a core with nothing in it");
	if (*cnt > SEGMENTS_MAX)
		return refuse(why, why_size, "has more parts than a process can have");
	*out = malloc(*cnt * sizeof(**out));
	return *out ? fds__read_at(core->fd, h->e_phoff, *out, *cnt * sizeof(**out)) : -ENOMEM;
}

static int read_notes(struct core_file *core, const Elf64_Phdr *headers, size_t cnt)
{
	int err = 0;

	for (size_t i = 0; i < cnt && !err; i++)
		if (headers[i].p_type == PT_NOTE && headers[i].p_offset < core->size)
			err = core_notes__read(core->fd, headers[i].p_offset,
					       headers[i].p_filesz < core->size - headers[i].p_offset ? headers[i].p_filesz : core->size - headers[i].p_offset,
					       &core->notes);
	return err;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return bytes & ~(uint64_t)(CORE_PAGE_BYTES - 1);
}

static bool is_page(uint64_t addr)
{
	return !(addr % CORE_PAGE_BYTES);
}

/* In a core parts of its file never overlap: together they are not more than it, or it is damaged there. */
static void add_load(struct core_file *core, const Elf64_Phdr *p, uint64_t *held_bytes)
{
	uint64_t bytes = whole_pages(p->p_memsz), wanted, there = p->p_offset < core->size ? core->size - p->p_offset : 0;
	struct core_segment *s = &core->segments[core->segment_cnt];

	if (!bytes || !is_page(p->p_vaddr) || p->p_vaddr >= ADDR_MAX || bytes > ADDR_MAX - p->p_vaddr)
		return;
	wanted = whole_pages(p->p_filesz < bytes ? p->p_filesz : bytes);
	*s = (struct core_segment){
		.start = p->p_vaddr, .end = p->p_vaddr + bytes, .off = p->p_offset, .held_bytes = whole_pages(wanted < there ? wanted : there),
		.r = p->p_flags & PF_R, .w = p->p_flags & PF_W, .x = p->p_flags & PF_X,
	};
	if (s->held_bytes > core->size - *held_bytes)
		s->held_bytes = 0;
	*held_bytes += s->held_bytes;
	s->cut_bytes = wanted - s->held_bytes;
	core->segment_cnt++;
}

static int by_start(const void *a, const void *b)
{
	const struct core_segment *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void sort(struct core_file *core)
{
	uint64_t end = 0;
	size_t cnt = 0;

	qsort(core->segments, core->segment_cnt, sizeof(*core->segments), by_start);
	for (size_t i = 0; i < core->segment_cnt; i++) {
		if (core->segments[i].start < end)
			continue;
		end = core->segments[i].end;
		core->segments[cnt++] = core->segments[i];
	}
	core->segment_cnt = cnt;
}

/* Mappings of one file are most often one after the other; where not, it is looked at twice. */
static uint32_t lib_of(struct core_file *core, const struct core_mapping *m)
{
	struct core_lib *last = core->lib_cnt ? &core->libs[core->lib_cnt - 1] : NULL;

	if (!last || last->deleted != m->deleted || strcmp(last->path, m->path))
		core->libs[core->lib_cnt++] = (struct core_lib){ .path = m->path, .deleted = m->deleted, .fd = -1, .first_segment = UINT32_MAX };
	return core->lib_cnt;
}

/* Each is a segment of its own; but gcore has none for what it leaves out whole: how that was mapped is not known, then. */
static void attach_files(struct core_file *core)
{
	const size_t loaded = core->segment_cnt;
	size_t at = 0;

	for (size_t i = 0; i < core->notes.mapping_cnt; i++) {
		const struct core_mapping *m = &core->notes.mappings[i];
		uint32_t lib;

		if (!is_page(m->start) || !is_page(m->end) || !is_page(m->file_off) || m->end > ADDR_MAX || m->file_off > INT64_MAX - ADDR_MAX)
			continue;
		lib = lib_of(core, m);
		while (at < loaded && core->segments[at].end <= m->start)
			at++;
		if (at == loaded || core->segments[at].start >= m->end)
			core->segments[core->segment_cnt++] = (struct core_segment){ .start = m->start, .end = m->end, .file_off = m->file_off, .lib = lib,
										     .r = true, .x = true };
		else if (core->segments[at].start == m->start && core->segments[at].end <= m->end) {
			core->segments[at].lib = lib;
			core->segments[at].file_off = m->file_off;
		}
	}
	sort(core);
}

static void find_first_pages(struct core_file *core)
{
	for (size_t i = 0; i < core->segment_cnt; i++) {
		const struct core_segment *s = &core->segments[i];

		if (s->lib && !s->file_off && core->libs[s->lib - 1].first_segment == UINT32_MAX)
			core->libs[s->lib - 1].first_segment = i;
	}
}

const struct core_segment *core_segments__at(const struct core_file *core, uint64_t addr)
{
	size_t low = 0, high = core->segment_cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (addr < core->segments[mid].start)
			high = mid;
		else if (addr >= core->segments[mid].end)
			low = mid + 1;
		else
			return &core->segments[mid];
	}
	return NULL;
}

static void mark_stack(struct core_file *core, uint64_t addr)
{
	const struct core_segment *s = core_segments__at(core, addr);

	if (s && s->w && !s->lib)
		core->segments[s - core->segments].stack = true;
}

static void mark_stacks(struct core_file *core)
{
	for (size_t i = 0; i < core->notes.thread_cnt; i++)
		mark_stack(core, core->notes.stack_pointers[i]);
	if (core->notes.random_addr)
		mark_stack(core, core->notes.random_addr);
}

static void add(uint64_t *sum, uint64_t bytes)
{
	*sum = *sum + bytes < *sum ? UINT64_MAX : *sum + bytes;
}

static void sum_missing(struct core_file *core)
{
	for (size_t i = 0; i < core->segment_cnt; i++) {
		const struct core_segment *s = &core->segments[i];

		add(&core->cut_bytes, s->cut_bytes);
		if (s->w && !s->lib)
			add(&core->left_bytes, s->end - s->start - s->held_bytes - s->cut_bytes);
	}
}

int core_segments__read(struct core_file *core, char *why, size_t why_size)
{
	Elf64_Phdr *headers = NULL;
	uint64_t held_bytes = 0;
	Elf64_Ehdr h;
	size_t cnt;
	int err;

	err = read_header(core, &h, why, why_size);
	if (!err)
		err = read_program_headers(core, &h, &headers, &cnt, why, why_size);
	if (!err)
		err = read_notes(core, headers, cnt);
	if (err)
		goto out;
	core->segments = calloc(cnt + core->notes.mapping_cnt, sizeof(*core->segments));
	core->libs = calloc(core->notes.mapping_cnt + 1, sizeof(*core->libs));
	if (!core->segments || !core->libs) {
		err = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < cnt; i++)
		if (headers[i].p_type == PT_LOAD)
			add_load(core, &headers[i], &held_bytes);
	sort(core);
	attach_files(core);
	find_first_pages(core);
	mark_stacks(core);
	sum_missing(core);
	if (!core->segment_cnt)
		err = refuse(why, why_size, "has no memory of a process in it");
out:
	free(headers);
	return err;
}

static int add_pages(struct core_file *core, uint64_t addr, uint64_t bytes)
{
	struct page_range *last = core->page_cnt ? &core->pages[core->page_cnt - 1] : NULL, *bigger;
	size_t capacity = core->page_capacity ? 2 * core->page_capacity : 1024;

	core->memory.rss_bytes += bytes;
	if (last && last->end == addr) {
		last->end += bytes;
		return 0;
	}
	if (core->page_cnt == core->page_capacity) {
		bigger = realloc(core->pages, capacity * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		core->pages = bigger;
		core->page_capacity = capacity;
	}
	core->pages[core->page_cnt++] = (struct page_range){ addr, addr + bytes, false };
	return 0;
}

static bool is_zero(const unsigned char *page)
{
	static const unsigned char zeros[8];

	return !memcmp(page, zeros, sizeof(zeros)) && !memcmp(page, page + sizeof(zeros), CORE_PAGE_BYTES - sizeof(zeros));
}

static int scan(struct core_file *core, const struct core_segment *s, uint64_t from, uint64_t to, unsigned char *buffer)
{
	uint64_t n;
	int err;

	for (; from < to; from += n) {
		n = to - from < SCAN_BYTES ? to - from : SCAN_BYTES;
		err = fds__read_at(core->fd, s->off + from, buffer, n);
		for (uint64_t at = 0; at < n && !err; at += CORE_PAGE_BYTES)
			if (!is_zero(buffer + at))
				err = add_pages(core, s->start + from + at, CORE_PAGE_BYTES);
		if (err)
			return err == -ENODATA ? 0 : err;
	}
	return 0;
}

/* The next stretch that is no hole of the core's file, from *FROM on; false: there is none. */
static bool next_data(const struct core_file *core, const struct core_segment *s, uint64_t *from, uint64_t *to)
{
	off_t data = lseek(core->fd, s->off + *from, SEEK_DATA), hole;

	*to = s->held_bytes;
	if (data < 0)
		return errno != ENXIO; /* where that cannot be asked, all is data */
	if ((uint64_t)data - s->off >= s->held_bytes)
		return false;
	hole = lseek(core->fd, data, SEEK_HOLE);
	*from = whole_pages(data - s->off);
	if (hole > data && (uint64_t)hole - s->off < s->held_bytes)
		*to = whole_pages(hole - s->off + CORE_PAGE_BYTES - 1);
	return true;
}

/*
 * The kernel leaves a hole where a page does not exist (dump_user_range), and only there; a gdb that makes holes does so for all zeros. Without any
 * the core was copied, or is an older gdb's: then pages of zeros are most often what was never touched.
 */
static bool has_holes(const struct core_file *core)
{
	off_t hole = lseek(core->fd, 0, SEEK_HOLE);

	return hole >= 0 && (uint64_t)hole < core->size;
}

int core_segments__find_pages(struct core_file *core)
{
	unsigned char *buffer = malloc(SCAN_BYTES);
	bool exact = has_holes(core);
	int err = buffer ? 0 : -ENOMEM;

	for (size_t i = 0; i < core->segment_cnt && !err; i++) {
		const struct core_segment *s = &core->segments[i];
		uint64_t from = 0, to, bytes = core->memory.rss_bytes;

		for (; from < s->held_bytes && !err && next_data(core, s, &from, &to); from = to)
			err = exact ? add_pages(core, s->start + from, to - from) : scan(core, s, from, to, buffer);
		bytes = core->memory.rss_bytes - bytes;
		*(s->stack ? &core->memory.stack_bytes : s->lib ? &core->memory.file_bytes : &core->memory.anon_bytes) += bytes;
	}
	free(buffer);
	return err;
}
