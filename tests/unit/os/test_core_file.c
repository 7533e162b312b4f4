// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Cores of our own making, sound and otherwise. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include <cmocka.h>

#include "build_id.h"
#include "core_file.h"
#include "process.h"

enum { PAGE = 4096, HEADERS_MAX = 64, IMAGE_MAX = 1 << 20 };

#define CODE 0x400000ULL
#define DATA 0x402000ULL
#define HEAP 0x500000ULL
#define MAPPED 0x7f0000000000ULL
#define STACK 0x7ffc00000000ULL

struct image {
	unsigned char bytes[IMAGE_MAX];
	size_t size;
	Elf64_Ehdr header;
	Elf64_Phdr headers[HEADERS_MAX];
	int cnt;
	char path[32], lib[32];
	char why[256];
};

static void append(struct image *m, const void *bytes, size_t size)
{
	assert_true(m->size + size <= IMAGE_MAX);
	memcpy(m->bytes + m->size, bytes, size);
	m->size += size;
}

static Elf64_Phdr *begin(struct image *m, uint32_t type, uint64_t addr, uint64_t mem, uint32_t flags)
{
	Elf64_Phdr *p = &m->headers[m->cnt++];

	assert_true(m->cnt <= HEADERS_MAX);
	*p = (Elf64_Phdr){ .p_type = type, .p_flags = flags, .p_offset = m->size, .p_vaddr = addr, .p_memsz = mem };
	return p;
}

/* PAGES of MARK, of a segment with MEM bytes. */
static Elf64_Phdr *load(struct image *m, uint64_t addr, uint64_t mem, uint32_t flags, size_t pages, int mark)
{
	Elf64_Phdr *p = begin(m, PT_LOAD, addr, mem, flags);

	assert_true(m->size + pages * PAGE <= IMAGE_MAX);
	memset(m->bytes + m->size, mark, pages * PAGE);
	m->size += pages * PAGE;
	p->p_filesz = pages * PAGE;
	return p;
}

static void note(struct image *m, Elf64_Phdr *notes, uint32_t type, const void *desc, uint32_t size)
{
	static const char zeros[4];
	const Elf64_Nhdr head = { 5, size, type };

	append(m, &head, sizeof(head));
	append(m, "CORE\0\0\0", 8);
	append(m, desc, size);
	append(m, zeros, -size & 3);
	notes->p_filesz = m->size - notes->p_offset;
}

static void note_thread(struct image *m, Elf64_Phdr *notes, pid_t pid, uint64_t rsp)
{
	struct elf_prstatus status = { .pr_pid = pid };
	struct user_regs_struct regs = { .rsp = rsp };

	memcpy(&status.pr_reg, &regs, sizeof(regs));
	note(m, notes, NT_PRSTATUS, &status, sizeof(status));
}

static void note_process(struct image *m, Elf64_Phdr *notes)
{
	struct elf_prpsinfo info = { .pr_pid = 4242, .pr_ppid = 17, .pr_uid = 33, .pr_fname = "0123456789abcdef" };

	note(m, notes, NT_PRPSINFO, &info, sizeof(info));
}

static void note_files(struct image *m, Elf64_Phdr *notes, const uint64_t *words, size_t size, const char *names, size_t names_size)
{
	char desc[4096];

	memcpy(desc, words, size);
	memcpy(desc + size, names, names_size);
	note(m, notes, NT_FILE, desc, size + names_size);
}

/* An ELF file with a build id and three pages of 'F'. */
static void make_lib(unsigned char *page, uint8_t id)
{
	const Elf64_Phdr p = { .p_type = PT_NOTE, .p_offset = 200, .p_filesz = 36 };
	const Elf64_Nhdr head = { 4, 20, NT_GNU_BUILD_ID };
	Elf64_Ehdr h = { .e_type = ET_DYN, .e_machine = EM_X86_64, .e_phoff = 64, .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr) };

	memset(page, 'F', PAGE);
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(page, &h, sizeof(h));
	memcpy(page + 64, &p, sizeof(p));
	memcpy(page + 200, &head, sizeof(head));
	memcpy(page + 212, "GNU", 4);
	memset(page + 216, id, 20);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void write_lib(struct image *m, uint8_t id)
{
	unsigned char lib[3 * PAGE];

	memset(lib, 'F', sizeof(lib));
	make_lib(lib, id);
	write_file(m->lib, lib, sizeof(lib) - 100);
}

/* Headers are put where there is room for them when all else is there. */
static void save(struct image *m)
{
	m->header.e_phnum = m->header.e_phnum ?: m->cnt;
	memcpy(m->bytes, &m->header, sizeof(m->header));
	memcpy(m->bytes + m->header.e_phoff, m->headers, m->cnt * sizeof(m->headers[0]));
	write_file(m->path, m->bytes, m->size);
}

static struct image *blank(void)
{
	struct image *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	strcpy(m->path, "/tmp/coreXXXXXX");
	close(mkstemp(m->path));
	strcpy(m->lib, "/tmp/libXXXXXX");
	close(mkstemp(m->lib));
	m->header = (Elf64_Ehdr){ .e_type = ET_CORE, .e_machine = EM_X86_64, .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr) };
	memcpy(m->header.e_ident, ELFMAG, SELFMAG);
	m->header.e_ident[EI_CLASS] = ELFCLASS64;
	m->header.e_ident[EI_DATA] = ELFDATA2LSB;
	m->size = PAGE;
	return m;
}

static void add_notes(struct image *m)
{
	const uint64_t files[] = { 3, 4096, CODE, CODE + PAGE, 0, CODE + PAGE, CODE + 2 * PAGE, 1, CODE + 2 * PAGE, CODE + 3 * PAGE, 2 };
	const uint64_t auxv[] = { AT_PHDR, CODE + 64, AT_RANDOM, STACK + PAGE + 8, AT_NULL, 0 };
	Elf64_Phdr *notes = begin(m, PT_NOTE, 0, 0, 0);
	char names[3 * sizeof(m->lib)];
	int len = sprintf(names, "%s%c%s%c%s", m->lib, 0, m->lib, 0, m->lib) + 1;

	note_thread(m, notes, 4243, MAPPED + 2 * PAGE + 100);
	note_process(m, notes);
	note(m, notes, NT_SIGINFO, "odd size", 7);
	note(m, notes, NT_AUXV, auxv, sizeof(auxv));
	note_files(m, notes, files, sizeof(files), names, len);
	note_thread(m, notes, 4244, STACK + 100);
	m->size = (m->size + PAGE - 1) & -PAGE;
}

/* First page of the file, its text (left out), its data; a heap, a mapping of which one page was dumped, a thread's stack, the main one. */
static struct image *sound(void)
{
	struct image *m = blank();
	unsigned char page[PAGE];
	Elf64_Phdr *p;

	write_lib(m, 7);
	add_notes(m);
	make_lib(page, 7);
	p = load(m, CODE, PAGE, PF_R, 1, 'C');
	memcpy(m->bytes + p->p_offset, page, PAGE);
	load(m, CODE + PAGE, PAGE, PF_R | PF_X, 0, 0);
	load(m, DATA, PAGE, PF_R | PF_W, 1, 'D');
	load(m, HEAP, 3 * PAGE, PF_R | PF_W, 3, 'H');
	load(m, MAPPED, PAGE, PF_R | PF_W, 1, 'M');
	load(m, MAPPED + PAGE, 3 * PAGE, PF_R | PF_W, 3, 'T');
	p = load(m, STACK, 4 * PAGE, PF_R | PF_W, 4, 0);
	memset(m->bytes + p->p_offset + PAGE, 'S', 2 * PAGE);
	return m;
}

static struct core_file *opened(struct image *m)
{
	struct core_file *core = NULL;
	int err;

	save(m);
	err = core_file__open(m->path, &core, m->why, sizeof(m->why));
	if (err)
		fail_msg("%s", m->why);
	return core;
}

static void done(struct image *m, struct core_file *core)
{
	core_file__close(core);
	unlink(m->path);
	unlink(m->lib);
	free(m);
}

static void refused(struct image *m, const char *word)
{
	struct core_file *core = NULL;

	assert_int_equal(core_file__open(m->path, &core, m->why, sizeof(m->why)), -ENOEXEC);
	assert_non_null(strstr(m->why, word));
}

static void check(struct core_file *core, uint64_t addr, size_t size, const char *pattern)
{
	const struct remote mem = core_file__remote(core);
	char out[4 * PAGE];

	assert_int_equal(remote__read(&mem, addr, out, size), 0);
	for (size_t i = 0; pattern[i]; i++)
		assert_int_equal(out[i * (size - 1) / (strlen(pattern) > 1 ? strlen(pattern) - 1 : 1)], pattern[i]);
}

static void unread(struct core_file *core, uint64_t addr, size_t size)
{
	const struct remote mem = core_file__remote(core);
	char out[4 * PAGE];

	assert_int_equal(remote__read(&mem, addr, out, size), -EFAULT);
}

static void memory_of_a_core(void **state)
{
	struct image *m = sound();
	struct core_file *core = opened(m);
	char gap[200] = "none";

	(void)state;
	check(core, HEAP, 3 * PAGE, "HHH");
	check(core, HEAP + 3 * PAGE - 1, 1, "H");
	check(core, MAPPED + PAGE - 2, 4, "MT"); /* over the border of two segments */
	unread(core, HEAP + 3 * PAGE - 1, 2);
	unread(core, HEAP - 1, 2);
	unread(core, UINT64_MAX - 3, 8);
	check(core, HEAP, 0, "");
	/* what it left out is in the file; what it holds is not taken from there */
	check(core, CODE + PAGE, PAGE, "FFF");
	check(core, CODE + PAGE - 1, 2, "FF");
	check(core, DATA, PAGE, "DD");
	check(core, CODE + 2 * PAGE - 1, 2, "FD");
	assert_false(core_file__gap(core, gap, sizeof(gap)));
	assert_string_equal(gap, "none");
	done(m, core);
}

static void what_proc_would_tell(void **state)
{
	struct image *m = sound();
	struct core_file *core = opened(m);
	const struct process proc = process__of_core(core);
	const struct proc_map *map;
	struct proc_status status;
	struct proc_memory memory;
	struct proc_maps maps;
	uint64_t ns = 1;
	char text[64];

	(void)state;
	assert_int_equal(proc.pid, 4242);
	assert_int_equal(process__status(&proc, &status), 0);
	assert_int_equal(status.ppid, 17);
	assert_int_equal(status.uid, 33);
	assert_int_equal(status.threads, 2);
	assert_string_equal(status.comm, "0123456789abcdef");
	assert_int_equal(process__exe(&proc, text, sizeof(text)), 0);
	assert_string_equal(text, m->lib);
	assert_int_equal(process__run_ns(&proc, &ns), 0);
	assert_int_equal(ns, 0);

	assert_int_equal(process__maps(&proc, &maps), 0);
	assert_int_equal(maps.cnt, 7);
	map = proc_maps__find(&maps, CODE + PAGE);
	assert_true(map->x && !map->w && map->file_off == PAGE && map->inode && !map->deleted);
	assert_int_equal(process__open_path(&proc, map, text, sizeof(text)), 0);
	assert_string_equal(text, m->lib);
	assert_int_equal(process__open_path(&proc, map, text, 5), -ENAMETOOLONG);
	assert_int_equal(map->inode, proc_maps__find(&maps, DATA)->inode);
	map = proc_maps__find(&maps, HEAP);
	assert_true(!map->inode && map->w && !map->path); /* no chunk of malloc's begins it */
	assert_int_equal(process__open_path(&proc, map, text, sizeof(text)), -EINVAL);
	assert_string_equal(proc_maps__find(&maps, STACK)->path, "[stack]");
	assert_null(proc_maps__find(&maps, MAPPED + PAGE)->path);
	proc_maps__free(&maps);

	assert_int_equal(process__memory(&proc, &memory), 0);
	assert_int_equal(memory.file_bytes, 2 * PAGE);
	assert_int_equal(memory.anon_bytes, 4 * PAGE);
	assert_int_equal(memory.stack_bytes, 5 * PAGE); /* pages of zeros are none */
	assert_int_equal(memory.rss_bytes, 11 * PAGE);
	assert_int_equal(status.rss_bytes, memory.rss_bytes);
	done(m, core);
}

static void a_heap_is_told_by_its_chunks(void **state)
{
	struct image *m = sound();
	uint64_t *words = (uint64_t *)(m->bytes + m->headers[4].p_offset);
	struct proc_maps maps;
	struct core_file *core;

	(void)state;
	assert_int_equal(m->headers[4].p_vaddr, HEAP);
	memset(words, 0, 3 * PAGE);
	for (size_t i = 0; i < 3 * PAGE / 64; i++)
		words[8 * i + 1] = 64 | 1;
	core = opened(m);
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_string_equal(proc_maps__find(&maps, HEAP)->path, "[heap]");
	proc_maps__free(&maps);
	done(m, core);
}

static void pages_that_are_there(void **state)
{
	struct image *m = sound();
	struct core_file *core = opened(m);
	const struct process proc = process__of_core(core);
	struct page_range range;
	struct pagemap pages;

	(void)state;
	assert_int_equal(process__open_pagemap(&proc, &pages), 0);
	pagemap__look_at(&pages, STACK, STACK + 4 * PAGE);
	assert_int_equal(pagemap__next(&pages, &range), 1);
	assert_true(range.start == STACK + PAGE && range.end == STACK + 3 * PAGE && !range.swapped);
	assert_int_equal(pagemap__next(&pages, &range), 0);
	/* neighbours are one range, of which only what was asked for is told */
	pagemap__look_at(&pages, MAPPED + PAGE, MAPPED + 3 * PAGE);
	assert_int_equal(pagemap__next(&pages, &range), 1);
	assert_true(range.start == MAPPED + PAGE && range.end == MAPPED + 3 * PAGE);
	assert_int_equal(pagemap__next(&pages, &range), 0);
	pagemap__look_at(&pages, 0, CODE);
	assert_int_equal(pagemap__next(&pages, &range), 0);
	pagemap__close(&pages);
	done(m, core);
}

/* More ranges than are told at once, and a file with holes, where zeros that are no hole are there. */
static void a_core_with_holes(void **state)
{
	enum { PAGES = 700 };
	struct image *m = blank();
	const struct process *proc;
	struct page_range range;
	struct core_file *core = NULL;
	struct pagemap pages;
	uint64_t off;
	int cnt = 0, fd;

	(void)state;
	off = m->size;
	begin(m, PT_LOAD, HEAP, PAGES * PAGE, PF_R | PF_W)->p_filesz = PAGES * PAGE;
	save(m);
	fd = open(m->path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, off + PAGES * PAGE), 0);
	for (int i = 0; i < PAGES; i += 2)
		assert_int_equal(pwrite(fd, m->bytes + IMAGE_MAX - PAGE, PAGE, off + i * PAGE), PAGE);
	fsync(fd);
	if (lseek(fd, off, SEEK_HOLE) != (off_t)off + PAGE) {
		close(fd);
		done(m, NULL);
		skip();
	}
	close(fd);
	assert_int_equal(core_file__open(m->path, &core, m->why, sizeof(m->why)), 0);
	proc = &(struct process){ .core = core };
	assert_int_equal(process__open_pagemap(proc, &pages), 0);
	pagemap__look_at(&pages, HEAP, HEAP + PAGES * PAGE);
	while (pagemap__next(&pages, &range) == 1) {
		assert_int_equal(range.start, HEAP + 2 * cnt * PAGE);
		assert_int_equal(range.end - range.start, PAGE);
		cnt++;
	}
	assert_int_equal(cnt, PAGES / 2);
	done(m, core);
}

static void what_is_missing_is_said(void **state)
{
	struct image *m = sound();
	struct core_file *core;
	char gap[200];

	(void)state;
	/* a mapping that was not dumped */
	load(m, MAPPED + 0x100000, 5 << 20, PF_R | PF_W, 0, 0);
	core = opened(m);
	assert_true(core_file__gap(core, gap, sizeof(gap)));
	assert_non_null(strstr(gap, "5.0 MiB"));
	assert_non_null(strstr(gap, "coredump_filter"));
	unread(core, MAPPED + 0x100000, 1);
	core_file__close(core);
	/* the last two of the stack's pages, and a half */
	assert_int_equal(truncate(m->path, m->size - 2 * PAGE - PAGE / 2), 0);
	assert_int_equal(core_file__open(m->path, &core, m->why, sizeof(m->why)), 0);
	check(core, STACK, PAGE, "");
	unread(core, STACK + PAGE, 1);
	assert_true(core_file__gap(core, gap, sizeof(gap)));
	assert_non_null(strstr(gap, "cut off"));
	done(m, core);
}

static void the_file_must_be_the_same(void **state)
{
	struct image *m = sound();
	struct core_file *core = opened(m);
	struct proc_maps maps;
	char gap[200], path[64];

	(void)state;
	write_lib(m, 8);
	unread(core, CODE + PAGE, 1);
	assert_true(core_file__gap(core, gap, sizeof(gap)));
	assert_non_null(strstr(gap, "another file"));
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_int_equal(core_file__open_path(core, &maps.maps[0], path, sizeof(path)), -ESTALE);
	proc_maps__free(&maps);
	core_file__close(core);
	core = opened(m);
	unlink(m->lib);
	unread(core, CODE + PAGE, 1);
	assert_true(core_file__gap(core, gap, sizeof(gap)));
	assert_non_null(strstr(gap, "is not here"));
	core_file__close(core);
	/* what is no ELF file is not read at all */
	memset(m->bytes + m->headers[1].p_offset, 'x', PAGE);
	write_file(m->lib, m->bytes + m->headers[1].p_offset, 3 * PAGE);
	core = opened(m);
	unread(core, CODE + PAGE, 1);
	core_file__close(core);
	m->headers[1].p_type = PT_NULL; /* no first page to compare it with, either */
	core = opened(m);
	unread(core, CODE + PAGE, 1);
	core_file__close(core);
	/* nor what opens to something else than a file */
	unlink(m->lib);
	assert_int_equal(mkfifo(m->lib, 0600), 0);
	core = opened(m);
	unread(core, CODE + PAGE, 1);
	done(m, core);
}

/* It is of the file, but the core was to have it. */
static void what_is_cut_off_is_not_taken_from_a_file(void **state)
{
	struct image *m = blank();
	const uint64_t files[] = { 2, 4096, CODE, CODE + PAGE, 0, CODE + PAGE, CODE + 2 * PAGE, 1 };
	unsigned char page[PAGE];
	struct core_file *core;
	char names[2 * sizeof(m->lib)];
	int len = sprintf(names, "%s%c%s", m->lib, 0, m->lib) + 1;
	Elf64_Phdr *p;

	(void)state;
	write_lib(m, 1);
	make_lib(page, 1);
	note_files(m, begin(m, PT_NOTE, 0, 0, 0), files, sizeof(files), names, len);
	p = load(m, CODE, PAGE, PF_R, 1, 0);
	memcpy(m->bytes + p->p_offset, page, PAGE);
	load(m, CODE + PAGE, PAGE, PF_R, 1, 'R');
	core = opened(m);
	check(core, CODE + PAGE, PAGE, "RR");
	core_file__close(core);
	assert_int_equal(truncate(m->path, m->size - 1), 0);
	assert_int_equal(core_file__open(m->path, &core, m->why, sizeof(m->why)), 0);
	unread(core, CODE + PAGE, 1);
	done(m, core);
}

/* Behind its end the last page of a file is zeros, and there is nothing more. */
static void the_end_of_a_file(void **state)
{
	struct image *m = sound();
	struct core_file *core;

	(void)state;
	m->headers[3].p_flags = PF_R;
	m->headers[3].p_filesz = 0;
	core = opened(m);
	check(core, DATA + PAGE - 101, 2, "F");
	check(core, DATA + PAGE - 100, 100, "");
	core_file__close(core);
	assert_int_equal(truncate(m->lib, 2 * PAGE), 0);
	core = opened(m);
	unread(core, DATA, 1);
	core_file__close(core);
	/* what can be written may have been */
	m->headers[3].p_flags = PF_R | PF_W;
	write_lib(m, 7);
	core = opened(m);
	unread(core, DATA, 1);
	done(m, core);
}

/* gcore has no segment at all for what it leaves out, and counts offsets in bytes. */
static void files_without_segments(void **state)
{
	struct image *m = blank();
	const uint64_t files[] = { 2, 1, CODE, CODE + PAGE, 0, CODE + PAGE, CODE + 2 * PAGE, PAGE };
	unsigned char page[PAGE];
	struct core_file *core;
	struct proc_maps maps;
	Elf64_Phdr *p;
	char names[2 * sizeof(m->lib)];
	int len = sprintf(names, "%s%c%s", m->lib, 0, m->lib) + 1;

	(void)state;
	write_lib(m, 1);
	make_lib(page, 1);
	p = load(m, CODE, PAGE, PF_R, 1, 0);
	memcpy(m->bytes + p->p_offset, page, PAGE);
	note_files(m, begin(m, PT_NOTE, 0, 0, 0), files, sizeof(files), names, len);
	core = opened(m);
	check(core, CODE + PAGE, PAGE, "FF");
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_int_equal(maps.cnt, 2);
	assert_true(maps.maps[1].x && maps.maps[1].file_off == PAGE);
	proc_maps__free(&maps);
	assert_int_equal(core_file__pid(core), 0);
	done(m, core);
}

static void headers_that_are_refused(void **state)
{
	static const struct {
		size_t off;
		uint8_t byte;
		const char *word;
	} cases[] = {
		{ 0, 'x', "not in ELF format" }, { EI_CLASS, ELFCLASS32, "32-bit" }, { EI_CLASS, 9, "another machine" },
		{ EI_DATA, ELFDATA2MSB, "another machine" }, { offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, "another machine" },
		{ offsetof(Elf64_Ehdr, e_type), ET_DYN, "program or library" }, { offsetof(Elf64_Ehdr, e_type), ET_REL, "no core file" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 32, "no core file" }, { offsetof(Elf64_Ehdr, e_phoff) + 7, 0xff, "headers" },
		{ offsetof(Elf64_Ehdr, e_phnum) + 1, 0xfe, "headers" },
	};
	struct image *m = sound();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t before;

		save(m);
		before = m->bytes[cases[i].off];
		m->bytes[cases[i].off] = cases[i].byte;
		write_file(m->path, m->bytes, m->size);
		refused(m, cases[i].word);
		m->bytes[cases[i].off] = before;
	}
	write_file(m->path, m->bytes, 0);
	refused(m, "empty");
	write_file(m->path, m->bytes, 63);
	refused(m, "cut off");
	write_file(m->path, "\x28\xb5\x2f\xfd", 4);
	refused(m, "decompress");
	m->header.e_phnum = PN_XNUM;
	save(m);
	refused(m, "nothing in it"); /* where a section header should be */
	unlink(m->path);
	done(m, NULL);
}

/* From 65,535 on their number is elsewhere. */
static void many_segments(void **state)
{
	struct image *m = sound();
	Elf64_Shdr first = { .sh_info = m->cnt };
	struct core_file *core;

	(void)state;
	m->header.e_phnum = PN_XNUM;
	m->header.e_shoff = m->size;
	append(m, &first, sizeof(first));
	core = opened(m);
	check(core, HEAP, PAGE, "HH");
	core_file__close(core);
	first.sh_info = UINT32_MAX;
	m->size -= sizeof(first);
	append(m, &first, sizeof(first));
	save(m);
	refused(m, "headers");
	done(m, NULL);
}

static void odd_segments(void **state)
{
	struct image *m = blank();
	struct core_file *core;
	struct proc_maps maps;

	(void)state;
	load(m, HEAP, 2 * PAGE, PF_R | PF_W, 2, 'H');
	load(m, HEAP + PAGE, 2 * PAGE, PF_R | PF_W, 2, 'O'); /* overlaps */
	load(m, HEAP + 0x10001, PAGE, PF_R | PF_W, 1, 'U'); /* not at a page */
	load(m, 0xffffffffff600000, PAGE, PF_R | PF_X, 1, 'V'); /* vsyscall: the kernel's */
	load(m, 1ULL << 62, 1ULL << 63, PF_R, 0, 0);
	load(m, HEAP + 0x20000, 0, PF_R, 1, 'Z');
	load(m, HEAP + 0x30000, PAGE, PF_R, 3, 'L')->p_memsz = PAGE; /* more in the file than there is memory */
	load(m, HEAP + 0x40000, UINT64_MAX - PAGE, PF_R | PF_W, 0, 0);
	/* the same bytes as of others: more than the file has */
	for (int i = 0; i < 20; i++)
		*begin(m, PT_LOAD, MAPPED + i * 0x100000, 5 * PAGE, PF_R | PF_W) =
			(Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = PAGE, .p_vaddr = MAPPED + i * 0x100000, .p_memsz = 5 * PAGE,
				      .p_filesz = 5 * PAGE };
	begin(m, PT_LOAD, STACK, PAGE, PF_R)->p_filesz = PAGE;
	m->headers[m->cnt - 1].p_offset = UINT64_MAX - 8;
	core = opened(m);
	check(core, HEAP, 2 * PAGE, "HHH");
	unread(core, HEAP + 2 * PAGE, 1);
	unread(core, 0xffffffffff600000, 1);
	check(core, HEAP + 0x30000, PAGE, "LL");
	unread(core, HEAP + 0x30000 + PAGE, 1);
	check(core, MAPPED, PAGE, "H");
	unread(core, MAPPED + 19 * 0x100000, 1);
	unread(core, STACK, 1);
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_int_equal(maps.cnt, 1 + 1 + 20 + 1);
	proc_maps__free(&maps);
	done(m, core);
}

static void try_files(const uint64_t *words, size_t size, const char *names, size_t names_size, size_t expected)
{
	struct image *m = blank();
	struct core_file *core;
	struct proc_maps maps;

	load(m, HEAP, PAGE, PF_R | PF_W, 1, 'H');
	note_files(m, begin(m, PT_NOTE, 0, 0, 0), words, size, names, names_size);
	core = opened(m);
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_int_equal(maps.cnt, 1 + expected);
	proc_maps__free(&maps);
	done(m, core);
}

static void odd_files(void **state)
{
	const uint64_t none[] = { 0, 4096 }, many[] = { UINT64_MAX, 4096, CODE, DATA, 0 }, nameless[] = { 2, 4096, CODE, CODE + PAGE, 0, DATA, DATA + PAGE, 0 };
	const uint64_t reversed[] = { 1, 4096, DATA, CODE, 0 }, far[] = { 1, 4096, CODE, DATA, UINT64_MAX }, no_unit[] = { 1, 0, CODE, DATA, 0 };
	const uint64_t odd[] = { 1, 4096, CODE + 1, DATA, 0 }, twice[] = { 2, 4096, CODE, DATA, 0, CODE + PAGE, DATA, 0 };
	const uint64_t over_heap[] = { 1, 4096, HEAP - PAGE, HEAP + PAGE / 2, 0 };

	(void)state;
	try_files(none, sizeof(none), "", 0, 0);
	try_files(none, 8, "", 0, 0);
	try_files(many, sizeof(many), "/a", 3, 0);
	try_files(nameless, sizeof(nameless), "/a", 2, 1); /* cut off, too */
	try_files(reversed, sizeof(reversed), "/a", 3, 0);
	try_files(far, sizeof(far), "/a", 3, 0);
	try_files(no_unit, sizeof(no_unit), "/a", 3, 0);
	try_files(odd, sizeof(odd), "/a", 3, 0);
	try_files(twice, sizeof(twice), "/a\0/a", 6, 1);
	try_files(over_heap, sizeof(over_heap), "/a", 3, 0);
}

static void deleted_files(void **state)
{
	const uint64_t files[] = { 1, 4096, CODE + PAGE, CODE + 2 * PAGE, 1 };
	struct image *m = blank();
	struct core_file *core;
	struct proc_maps maps;
	char name[64];

	(void)state;
	write_lib(m, 1);
	load(m, HEAP, PAGE, PF_R | PF_W, 1, 'H');
	sprintf(name, "%s (deleted)", m->lib);
	note_files(m, begin(m, PT_NOTE, 0, 0, 0), files, sizeof(files), name, strlen(name) + 1);
	core = opened(m);
	assert_int_equal(core_file__maps(core, &maps), 0);
	assert_true(maps.maps[0].deleted);
	assert_string_equal(maps.maps[0].path, m->lib);
	proc_maps__free(&maps);
	/* nothing tells that what has its name now is the same */
	unread(core, CODE + PAGE, 1);
	done(m, core);
}

/* Any byte may be anything; what can be read is read, and nothing else is touched (SANITIZE=1). */
static void spoilt_cores(void **state)
{
	struct image *m = sound();
	struct core_file *core;
	struct proc_maps maps;
	char bytes[64];
	size_t opened_cnt = 0;
	unsigned int seed = 5;

	(void)state;
	save(m);
	for (int round = 0; round < 4000; round++) {
		uint8_t before[4];
		size_t at[4];

		for (int i = 0; i < 4; i++) {
			at[i] = rand_r(&seed) % (i ? 3 * PAGE : 64 + 56 * m->cnt);
			before[i] = m->bytes[at[i]];
			m->bytes[at[i]] = rand_r(&seed) % 3 ? rand_r(&seed) : 0xff;
		}
		write_file(m->path, m->bytes, m->size);
		core = NULL;
		if (!core_file__open(m->path, &core, m->why, sizeof(m->why))) {
			const struct remote mem = core_file__remote(core);

			opened_cnt++;
			assert_int_equal(core_file__maps(core, &maps), 0);
			for (size_t i = 0; i < maps.cnt; i++) {
				remote__read(&mem, maps.maps[i].start, bytes, sizeof(bytes));
				remote__read(&mem, maps.maps[i].end - sizeof(bytes) / 2, bytes, sizeof(bytes));
			}
			proc_maps__free(&maps);
		} else {
			assert_true(*m->why);
		}
		core_file__close(core);
		for (int i = 3; i >= 0; i--)
			m->bytes[at[i]] = before[i];
	}
	assert_true(opened_cnt > 100);
	done(m, NULL);
}

static void build_ids(void **state)
{
	unsigned char page[PAGE], other[PAGE];
	struct build_id id;

	(void)state;
	make_lib(page, 7);
	make_lib(other, 7);
	assert_true(build_id__of(page, &id));
	assert_int_equal(id.len, 20);
	assert_int_equal(id.bytes[19], 7);
	other[PAGE - 1] = 'x'; /* as stripped: the id decides */
	assert_true(build_id__same(page, other));
	make_lib(other, 8);
	assert_false(build_id__same(page, other));
	/* without ids, the whole page */
	page[64] = other[64] = PT_NULL;
	assert_true(build_id__of(page, &id));
	assert_int_equal(id.len, 0);
	assert_false(build_id__same(page, other));
	memcpy(other, page, PAGE);
	assert_true(build_id__same(page, other));
	/* notes that lead out of the page */
	make_lib(page, 7);
	memset(page + 200, 0xff, 8);
	assert_true(build_id__of(page, &id));
	assert_int_equal(id.len, 0);
	page[0] = 0;
	assert_false(build_id__of(page, &id));
	assert_false(build_id__same(page, page));
}

static void what_cannot_be_opened(void **state)
{
	struct core_file *core;
	char why[100];

	(void)state;
	assert_int_equal(core_file__open("/nowhere/core", &core, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "No such file"));
	assert_int_equal(core_file__open("/tmp", &core, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "regular"));
	assert_int_equal(core_file__open("/dev/null", &core, why, sizeof(why)), -ENOEXEC);
	core_file__close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_core),
		cmocka_unit_test(what_proc_would_tell),
		cmocka_unit_test(a_heap_is_told_by_its_chunks),
		cmocka_unit_test(pages_that_are_there),
		cmocka_unit_test(a_core_with_holes),
		cmocka_unit_test(what_is_missing_is_said),
		cmocka_unit_test(the_file_must_be_the_same),
		cmocka_unit_test(what_is_cut_off_is_not_taken_from_a_file),
		cmocka_unit_test(the_end_of_a_file),
		cmocka_unit_test(files_without_segments),
		cmocka_unit_test(headers_that_are_refused),
		cmocka_unit_test(many_segments),
		cmocka_unit_test(odd_segments),
		cmocka_unit_test(odd_files),
		cmocka_unit_test(deleted_files),
		cmocka_unit_test(spoilt_cores),
		cmocka_unit_test(build_ids),
		cmocka_unit_test(what_cannot_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
