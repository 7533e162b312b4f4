// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 64 };

struct symbols {
	const Elf64_Sym *syms;
	size_t cnt;
	const char *names;
	size_t names_size;
};

struct elf_file {
	unsigned int refs;
	dev_t dev;
	ino_t ino;
	unsigned char *image;
	size_t size;
	Elf *elf;
	struct elf_segment segments[SEGMENTS_MAX];
	size_t segment_cnt;
	struct symbols symtab, dynsym;
};

static int map_file(struct elf_file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int err = 0;
	void *image;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		err = -errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr)) {
		err = -ENOEXEC;
		goto out;
	}
	/*
	 * Shared, as only private mappings get the breakpoints of uprobes that are set for every process (kernel/events/uprobes.c,
	 * valid_vma): those of another tool, or our own, would be taken for the file's bytes. What is cut off meanwhile reads as zeros
	 * (sigbus.h).
	 */
	image = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (image == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	f->image = image;
	f->size = st.st_size;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
out:
	close(fd);
	return err;
}

static int check_header(const struct elf_file *f)
{
	const Elf64_Ehdr *h = (const void *)f->image;

	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return -ENOEXEC;
	return h->e_type == ET_EXEC || h->e_type == ET_DYN ? 0 : -ENOEXEC;
}

static int read_segments(struct elf_file *f)
{
	size_t cnt;
	GElf_Phdr p;

	if (elf_getphdrnum(f->elf, &cnt))
		return -ENOEXEC;
	for (size_t i = 0; i < cnt && f->segment_cnt < SEGMENTS_MAX; i++) {
		if (!gelf_getphdr(f->elf, i, &p))
			return -ENOEXEC;
		if (p.p_type != PT_LOAD)
			continue;
		if (p.p_offset > f->size || p.p_filesz > f->size - p.p_offset || p.p_filesz > p.p_memsz ||
		    p.p_vaddr + p.p_memsz < p.p_vaddr)
			return -ENOEXEC;
		f->segments[f->segment_cnt++] = (struct elf_segment){
			.addr = p.p_vaddr, .file_off = p.p_offset,
			.file_size = p.p_filesz, .mem_size = p.p_memsz,
			.r = p.p_flags & PF_R, .w = p.p_flags & PF_W, .x = p.p_flags & PF_X,
		};
	}
	return f->segment_cnt ? 0 : -ENOEXEC;
}

/* A section's bytes in the mapping; NULL when it has none or they are not all there. */
static const void *section_bytes(const struct elf_file *f, const GElf_Shdr *sh)
{
	if (sh->sh_type == SHT_NOBITS || sh->sh_flags & SHF_COMPRESSED)
		return NULL;
	if (sh->sh_offset > f->size || sh->sh_size > f->size - sh->sh_offset)
		return NULL;
	return f->image + sh->sh_offset;
}

static void take_symbols(struct elf_file *f, const GElf_Shdr *sh, struct symbols *out)
{
	const void *syms = section_bytes(f, sh), *names;
	GElf_Shdr strings;
	Elf_Scn *scn = elf_getscn(f->elf, sh->sh_link);

	if (!scn || !gelf_getshdr(scn, &strings) || strings.sh_type != SHT_STRTAB)
		return;
	names = section_bytes(f, &strings);
	if (!syms || !names || (uintptr_t)syms % _Alignof(Elf64_Sym))
		return;
	*out = (struct symbols){
		.syms = syms, .cnt = sh->sh_size / sizeof(Elf64_Sym),
		.names = names, .names_size = strings.sh_size,
	};
}

static void read_symbol_tables(struct elf_file *f)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(f->elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		if (sh.sh_type == SHT_SYMTAB)
			take_symbols(f, &sh, &f->symtab);
		else if (sh.sh_type == SHT_DYNSYM)
			take_symbols(f, &sh, &f->dynsym);
	}
}

int elf_file__open(const char *path, struct elf_file **out)
{
	struct elf_file *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	err = map_file(f, path);
	if (err)
		goto out;
	err = check_header(f);
	if (err)
		goto out;
	elf_version(EV_CURRENT);
	f->elf = elf_memory((char *)f->image, f->size);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF) {
		err = -ENOEXEC;
		goto out;
	}
	err = read_segments(f);
	if (err)
		goto out;
	read_symbol_tables(f);
	*out = f;
	f = NULL;
out:
	elf_file__close(f);
	return err;
}

struct elf_file *elf_file__ref(struct elf_file *f)
{
	f->refs++;
	return f;
}

bool elf_file__same(const struct elf_file *a, const struct elf_file *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

void elf_file__close(struct elf_file *f)
{
	if (!f || f->refs--)
		return;
	elf_end(f->elf);
	if (f->image)
		munmap(f->image, f->size);
	free(f);
}

static bool name_is(const struct symbols *t, uint32_t name_off, const char *name, size_t len)
{
	if (name_off >= t->names_size || len >= t->names_size - name_off)
		return false;
	if (memcmp(t->names + name_off, name, len) != 0)
		return false;
	return t->names[name_off + len] == '\0' || t->names[name_off + len] == '@';
}

static bool is_wanted(const Elf64_Sym *sym)
{
	int type = ELF64_ST_TYPE(sym->st_info);

	/* The value of a TLS symbol is no address. */
	return sym->st_shndx != SHN_UNDEF && type != STT_TLS && type != STT_SECTION && type != STT_FILE;
}

static int find_symbol(const struct symbols *t, const char *name, struct elf_sym *out)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < t->cnt; i++) {
		if (!is_wanted(&t->syms[i]) || !name_is(t, t->syms[i].st_name, name, len))
			continue;
		*out = (struct elf_sym){ .addr = t->syms[i].st_value, .size = t->syms[i].st_size };
		return 0;
	}
	return -ENOENT;
}

int elf_file__symbol(const struct elf_file *f, const char *name, struct elf_sym *out)
{
	if (!find_symbol(&f->symtab, name, out))
		return 0;
	return find_symbol(&f->dynsym, name, out);
}

static bool imports(const struct elf_file *f, const Elf64_Rela *rela, const char *name, size_t len)
{
	uint32_t type = ELF64_R_TYPE(rela->r_info), sym = ELF64_R_SYM(rela->r_info);

	return (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) && sym < f->dynsym.cnt &&
	       name_is(&f->dynsym, f->dynsym.syms[sym].st_name, name, len);
}

int elf_file__import(const struct elf_file *f, const char *name, uint64_t *slot_addr)
{
	size_t len = strlen(name);
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(f->elf, scn))) {
		const Elf64_Rela *rela;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_RELA || !(sh.sh_flags & SHF_ALLOC))
			continue;
		rela = section_bytes(f, &sh);
		if (!rela || (uintptr_t)rela % _Alignof(Elf64_Rela))
			continue;
		for (size_t i = 0; i < sh.sh_size / sizeof(*rela); i++) {
			if (!imports(f, &rela[i], name, len))
				continue;
			*slot_addr = rela[i].r_offset;
			return 0;
		}
	}
	return -ENOENT;
}

static const char *function_at(const struct symbols *t, uint64_t addr)
{
	for (size_t i = 0; i < t->cnt; i++) {
		const Elf64_Sym *sym = &t->syms[i];

		if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || addr < sym->st_value || addr - sym->st_value >= sym->st_size ||
		    sym->st_name >= t->names_size || !memchr(t->names + sym->st_name, 0, t->names_size - sym->st_name))
			continue;
		return t->names + sym->st_name;
	}
	return NULL;
}

const char *elf_file__function_at(const struct elf_file *f, uint64_t addr)
{
	const char *name = function_at(&f->symtab, addr);

	return name ? name : function_at(&f->dynsym, addr);
}

size_t elf_file__segments(const struct elf_file *f, const struct elf_segment **out)
{
	*out = f->segments;
	return f->segment_cnt;
}

const struct elf_segment *elf_file__segment_at(const struct elf_file *f, uint64_t addr)
{
	for (size_t i = 0; i < f->segment_cnt; i++)
		if (addr >= f->segments[i].addr && addr - f->segments[i].addr < f->segments[i].file_size)
			return &f->segments[i];
	return NULL;
}

int elf_file__bias(const struct elf_file *f, uint64_t start, uint64_t file_off, uint64_t *bias)
{
	const uint64_t page = 4096;

	for (size_t i = 0; i < f->segment_cnt; i++) {
		const struct elf_segment *s = &f->segments[i];

		/* Whole pages are mapped: the first may begin before the segment. */
		if (!s->x || file_off < (s->file_off & -page) || file_off >= s->file_off + s->file_size)
			continue;
		*bias = start - file_off + s->file_off - s->addr;
		return 0;
	}
	return -ENOEXEC;
}

int elf_file__addr_to_off(const struct elf_file *f, uint64_t addr, uint64_t *off)
{
	const struct elf_segment *s = elf_file__segment_at(f, addr);

	if (!s)
		return -ERANGE;
	*off = s->file_off + (addr - s->addr);
	return 0;
}

int elf_file__off_to_addr(const struct elf_file *f, uint64_t off, uint64_t *addr)
{
	for (size_t i = 0; i < f->segment_cnt; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (off < s->file_off || off - s->file_off >= s->file_size)
			continue;
		*addr = s->addr + (off - s->file_off);
		return 0;
	}
	return -ERANGE;
}

const void *elf_file__bytes(const struct elf_file *f, uint64_t addr, size_t size)
{
	const struct elf_segment *s = elf_file__segment_at(f, addr);

	return s && size <= s->file_size - (addr - s->addr) ? f->image + s->file_off + (addr - s->addr) : NULL;
}

static bool dynamic_needs(const struct elf_file *f, const GElf_Shdr *sh, const char *prefix)
{
	const Elf64_Dyn *dyn = section_bytes(f, sh);
	const char *name;

	if (!dyn || (uintptr_t)dyn % _Alignof(Elf64_Dyn))
		return false;
	for (size_t i = 0; i < sh->sh_size / sizeof(*dyn) && dyn[i].d_tag != DT_NULL; i++) {
		name = dyn[i].d_tag == DT_NEEDED ? elf_strptr(f->elf, sh->sh_link, dyn[i].d_un.d_val) : NULL;
		if (name && !strncmp(name, prefix, strlen(prefix)))
			return true;
	}
	return false;
}

bool elf_file__needs(const struct elf_file *f, const char *prefix)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(f->elf, scn)))
		if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_DYNAMIC)
			return dynamic_needs(f, &sh, prefix);
	return false;
}

/* The description of a stapsdt note: pc, base and semaphore, then three strings. */
static int parse_note(const char *desc, size_t size, const char *provider, const char *name, uint64_t base,
		      struct usdt_note *out)
{
	const char *strings[3], *at = desc + 3 * sizeof(uint64_t), *end = desc + size;
	uint64_t words[3];

	if (size < sizeof(words))
		return -EINVAL;
	memcpy(words, desc, sizeof(words));
	for (int i = 0; i < 3; i++) {
		const char *nul = memchr(at, '\0', end - at);

		if (!nul)
			return -EINVAL;
		strings[i] = at;
		at = nul + 1;
	}
	if (strcmp(strings[0], provider) != 0 || strcmp(strings[1], name) != 0)
		return -ENOENT;
	*out = (struct usdt_note){
		.addr = words[0] + (base ? base - words[1] : 0),
		.semaphore_addr = words[2] ? words[2] + (base ? base - words[1] : 0) : 0,
	};
	strncpy(out->args, strings[2], sizeof(out->args) - 1);
	return 0;
}

static Elf_Scn *find_section(const struct elf_file *f, const char *name, GElf_Shdr *sh)
{
	Elf_Scn *scn = NULL;
	const char *found;
	size_t names;

	if (elf_getshdrstrndx(f->elf, &names))
		return NULL;
	while ((scn = elf_nextscn(f->elf, scn))) {
		if (!gelf_getshdr(scn, sh))
			continue;
		found = elf_strptr(f->elf, names, sh->sh_name);
		if (found && !strcmp(found, name))
			return scn;
	}
	return NULL;
}

int elf_file__usdt(const struct elf_file *f, const char *provider, const char *name, struct usdt_note *out)
{
	size_t at = 0, next, name_at, desc_at;
	GElf_Shdr sh, base = { 0 };
	const char *bytes;
	Elf_Data *data;
	Elf_Scn *scn;
	GElf_Nhdr note;

	if (!find_section(f, ".stapsdt.base", &base))
		base.sh_addr = 0;
	scn = find_section(f, ".note.stapsdt", &sh);
	data = scn ? elf_getdata(scn, NULL) : NULL;
	if (!data || !data->d_buf)
		return -ENOENT;
	for (; (next = gelf_getnote(data, at, &note, &name_at, &desc_at)); at = next) {
		bytes = data->d_buf;
		if (note.n_type != 3 || note.n_namesz != sizeof("stapsdt") ||
		    memcmp(bytes + name_at, "stapsdt", sizeof("stapsdt")) != 0)
			continue;
		if (!parse_note(bytes + desc_at, note.n_descsz, provider, name, base.sh_addr, out))
			return 0;
	}
	return -ENOENT;
}
