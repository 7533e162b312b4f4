// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "build_id.h"

#include <elf.h>
#include <string.h>

/* SIZE bytes at NOTES. */
static bool find_note(const unsigned char *notes, size_t size, struct build_id *out)
{
	Elf64_Nhdr head;
	uint64_t name, desc;

	while (size >= sizeof(head)) {
		memcpy(&head, notes, sizeof(head));
		name = ((uint64_t)head.n_namesz + 3) & ~3ULL;
		desc = ((uint64_t)head.n_descsz + 3) & ~3ULL;
		if (name + desc > size - sizeof(head))
			return false;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == sizeof("GNU") && !memcmp(notes + sizeof(head), "GNU", sizeof("GNU")) &&
		    head.n_descsz && head.n_descsz <= BUILD_ID_MAX_BYTES) {
			memcpy(out->bytes, notes + sizeof(head) + name, head.n_descsz);
			out->len = head.n_descsz;
			return true;
		}
		notes += sizeof(head) + name + desc;
		size -= sizeof(head) + name + desc;
	}
	return false;
}

bool build_id__of(const void *page, struct build_id *out)
{
	const unsigned char *bytes = page;
	Elf64_Ehdr h;
	Elf64_Phdr p;

	*out = (struct build_id){ .len = 0 };
	memcpy(&h, page, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != EM_X86_64 || (h.e_type != ET_EXEC && h.e_type != ET_DYN) || h.e_phentsize != sizeof(p))
		return false;
	for (size_t i = 0; i < h.e_phnum; i++) {
		if (h.e_phoff > BUILD_ID_PAGE_BYTES || (i + 1) * sizeof(p) > BUILD_ID_PAGE_BYTES - h.e_phoff)
			break;
		memcpy(&p, bytes + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_NOTE && p.p_offset <= BUILD_ID_PAGE_BYTES && p.p_filesz <= BUILD_ID_PAGE_BYTES - p.p_offset &&
		    find_note(bytes + p.p_offset, p.p_filesz, out))
			break;
	}
	return true;
}

bool build_id__same(const void *page, const void *other_page)
{
	struct build_id id, other;

	if (!build_id__of(page, &id) || !build_id__of(other_page, &other))
		return false;
	if (id.len && other.len)
		return id.len == other.len && !memcmp(id.bytes, other.bytes, id.len);
	return !memcmp(page, other_page, BUILD_ID_PAGE_BYTES);
}
