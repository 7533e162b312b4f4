// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_file.h"
#include "procfs.h"
#include "sigbus.h"

/* Data to find in this program's own file. */
const char marker_text[] = "found by its address";

/* .note.stapsdt as <sys/sdt.h> makes it: asm, so that no header is needed. */
__asm__(".pushsection .note.stapsdt,\"\",\"note\"\n"
	".balign 4\n"
	".4byte 8, 2f-1f, 3\n"
	".asciz \"stapsdt\"\n"
	"1: .8byte 0x1234, 0, 0x5678\n"
	".asciz \"prov\"\n"
	".asciz \"probe\"\n"
	".asciz \"8@%rdi -4@%eax\"\n"
	"2: .balign 4\n"
	".popsection\n");

static void symbols_segments_and_bytes(void **state)
{
	const struct elf_segment *segs;
	struct elf_file *f = NULL;
	uint64_t off, addr;
	struct elf_sym sym;
	size_t cnt;

	(void)state;
	assert_int_equal(elf_file__open("/proc/self/exe", &f), 0);
	assert_int_equal(elf_file__symbol(f, "marker_text", &sym), 0);
	assert_int_equal(sym.size, sizeof(marker_text));
	assert_memory_equal(elf_file__bytes(f, sym.addr, sizeof(marker_text)), marker_text, sizeof(marker_text));
	assert_int_equal(elf_file__addr_to_off(f, sym.addr, &off), 0);
	assert_int_equal(elf_file__off_to_addr(f, off, &addr), 0);
	assert_int_equal(addr, sym.addr);
	assert_int_equal(elf_file__symbol(f, "marker_tex", &sym), -ENOENT);
	assert_int_equal(elf_file__symbol(f, "marker_text2", &sym), -ENOENT);
	assert_int_equal(elf_file__symbol(f, "", &sym), -ENOENT);
	/* undefined here: not ours */
	assert_int_equal(elf_file__symbol(f, "_cmocka_run_group_tests", &sym), -ENOENT);
	/* and yet the linker puts its address somewhere */
	assert_int_equal(elf_file__import(f, "_cmocka_run_group_tests", &addr), 0);
	assert_int_equal(elf_file__addr_to_off(f, addr, &off), 0);
	assert_int_equal(elf_file__import(f, "marker_text", &addr), -ENOENT);
	assert_true(elf_file__needs(f, "libcmocka"));
	assert_false(elf_file__needs(f, "libcmockb"));
	cnt = elf_file__segments(f, &segs);
	assert_true(cnt >= 2);
	assert_null(elf_file__bytes(f, segs[cnt - 1].addr, 1UL << 40));
	assert_null(elf_file__bytes(f, UINT64_MAX, 16));
	assert_int_equal(elf_file__addr_to_off(f, UINT64_MAX, &off), -ERANGE);
	assert_int_equal(elf_file__off_to_addr(f, UINT64_MAX, &addr), -ERANGE);
	elf_file__close(f);
}

static void bias_of_a_mapping(void **state)
{
	uint64_t here = (uint64_t)bias_of_a_mapping, data = (uint64_t)marker_text, bias;
	const struct elf_segment *seg;
	const struct proc_map *map;
	struct proc_maps maps;
	struct elf_file *f;
	struct elf_sym sym;

	(void)state;
	assert_int_equal(elf_file__open("/proc/self/exe", &f), 0);
	assert_int_equal(procfs__maps(getpid(), &maps), 0);
	map = proc_maps__find(&maps, here);
	assert_non_null(map);
	assert_int_equal(elf_file__bias(f, map->start, map->file_off, &bias), 0);
	assert_int_equal(elf_file__symbol(f, "marker_text", &sym), 0);
	assert_int_equal(sym.addr + bias, data);
	seg = elf_file__segment_at(f, here - bias);
	assert_true(seg && seg->x);
	assert_true(!elf_file__segment_at(f, data - bias)->x);
	assert_null(elf_file__segment_at(f, UINT64_MAX));
	assert_int_equal(elf_file__bias(f, map->start, 1UL << 40, &bias), -ENOEXEC);
	proc_maps__free(&maps);
	elf_file__close(f);
}

static void usdt(void **state)
{
	struct usdt_note note;
	struct elf_file *f;

	(void)state;
	assert_int_equal(elf_file__open("/proc/self/exe", &f), 0);
	assert_int_equal(elf_file__usdt(f, "prov", "probe", &note), 0);
	assert_int_equal(note.addr, 0x1234);
	assert_int_equal(note.semaphore_addr, 0x5678);
	assert_string_equal(note.args, "8@%rdi -4@%eax");
	assert_int_equal(elf_file__usdt(f, "prov", "other", &note), -ENOENT);
	elf_file__close(f);
}

static void what_is_no_elf(void **state)
{
	struct elf_file *f;

	(void)state;
	assert_int_equal(elf_file__open("/nonexistent", &f), -ENOENT);
	assert_int_equal(elf_file__open("/", &f), -ENOEXEC);
	assert_int_equal(elf_file__open("/dev/null", &f), -ENOEXEC);
	assert_int_equal(elf_file__open("/proc/self/status", &f), -ENOEXEC);
	elf_file__close(NULL);
}

static size_t read_self(unsigned char *out, size_t size)
{
	FILE *f = fopen("/proc/self/exe", "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size, f);
	fclose(f);
	return n;
}

static void use_all(const char *path)
{
	const struct elf_segment *segs;
	struct usdt_note note;
	struct elf_file *f;
	struct elf_sym sym;
	uint64_t value;
	size_t cnt;

	if (elf_file__open(path, &f))
		return;
	elf_file__symbol(f, "no such symbol", &sym);
	if (!elf_file__symbol(f, "marker_text", &sym))
		elf_file__bytes(f, sym.addr, sym.size);
	cnt = elf_file__segments(f, &segs);
	for (size_t i = 0; i < cnt; i++) {
		const unsigned char *bytes = elf_file__bytes(f, segs[i].addr, segs[i].file_size);

		if (bytes && segs[i].file_size)
			value = bytes[segs[i].file_size - 1];
		elf_file__off_to_addr(f, segs[i].file_off, &value);
		elf_file__addr_to_off(f, segs[i].addr, &value);
	}
	elf_file__needs(f, "libcmocka");
	elf_file__usdt(f, "prov", "probe", &note);
	elf_file__usdt(f, "prov", "none", &note);
	elf_file__close(f);
}

/* Damages this program's headers and notes, a few bytes at a time. */
static void damaged_files(void **state)
{
	enum { MAX_BYTES = 32 << 20 };
	unsigned char *image = malloc(MAX_BYTES), *copy = malloc(MAX_BYTES);
	char path[] = "/tmp/pyleak-elf-XXXXXX";
	size_t size = read_self(image, MAX_BYTES), section_off, at;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && size > 4096);
	section_off = ((Elf64_Ehdr *)image)->e_shoff;
	srand(3);
	for (int i = 0; i < 300; i++) {
		size_t len = i % 3 ? size : (size_t)rand() % size;

		memcpy(copy, image, size);
		for (int k = 0; k < 4; k++) {
			at = rand() % 2 ? (size_t)rand() % 1024 : section_off + (size_t)rand() % (size - section_off);
			if (at >= 20)
				copy[at] = rand();
		}
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, copy, len, 0), len);
		use_all(path);
	}
	close(fd);
	unlink(path);
	free(image);
	free(copy);
}

/* A copy of this program, cut short while it is open. */
static void a_file_that_is_cut_short(void **state)
{
	char path[] = "/tmp/pyleak-elf-XXXXXX", command[64];
	const struct elf_segment *segs;
	struct elf_file *f = NULL;
	struct elf_sym sym;
	const char *bytes;
	uint64_t slot;
	size_t cnt, i;

	(void)state;
	assert_int_equal(sigbus__survive(), 0);
	close(mkstemp(path));
	snprintf(command, sizeof(command), "cat /proc/%d/exe > %s", getpid(), path);
	assert_int_equal(system(command), 0);
	assert_int_equal(elf_file__open(path, &f), 0);
	assert_int_equal(elf_file__symbol(f, "marker_text", &sym), 0);
	assert_int_equal(truncate(path, 5000), 0);
	assert_int_equal(elf_file__symbol(f, "marker_text", &sym), -ENOENT);
	elf_file__import(f, "_cmocka_run_group_tests", &slot);
	elf_file__needs(f, "libcmocka");
	cnt = elf_file__segments(f, &segs);
	for (i = 0; i < cnt; i++) {
		bytes = elf_file__bytes(f, segs[i].addr, segs[i].file_size);
		assert_true(segs[i].file_off + segs[i].file_size <= 5000 || !bytes || bytes[segs[i].file_size - 1] == 0);
	}
	elf_file__close(f);
	/* mapped anew: there is nothing of it left to be opened */
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(elf_file__open(path, &f), -ENOEXEC);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_segments_and_bytes),
		cmocka_unit_test(bias_of_a_mapping),
		cmocka_unit_test(usdt),
		cmocka_unit_test(what_is_no_elf),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(a_file_that_is_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
