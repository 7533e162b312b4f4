// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Needs the right to set probes; without it only what reads is tested. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "procfs.h"
#include "python.h"
#include "reach.h"
#include "uprobe.h"

/* Its first instruction is one that every kernel takes a probe on. */
void reach_test_place(void);
__asm__(".text\n"
	".p2align 6\n"
	".globl reach_test_place\n"
	".type reach_test_place,@function\n"
	"reach_test_place:\n"
	"	push %rbx\n"
	"	pop %rbx\n"
	"	.byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
	"	ret\n"
	"	.fill 56,1,0x90\n"
	".size reach_test_place,.-reach_test_place\n");

struct fixture {
	struct py_interp py;
	uint64_t addr, off;
};

/* This very program, as if it were an interpreter. */
static void open_self(struct fixture *f)
{
	const struct proc_map *map;
	struct proc_maps maps;
	uint64_t file_addr;

	memset(f, 0, sizeof(*f));
	f->addr = (uintptr_t)reach_test_place;
	f->py.pid = getpid();
	f->py.mem = remote__process(getpid());
	strcpy(f->py.open_path, "/proc/self/exe");
	assert_int_equal(elf_file__open(f->py.open_path, &f->py.elf), 0);
	assert_int_equal(procfs__maps(getpid(), &maps), 0);
	map = proc_maps__find(&maps, f->addr);
	assert_non_null(map);
	f->off = f->addr - map->start + map->file_off;
	assert_int_equal(elf_file__off_to_addr(f->py.elf, f->off, &file_addr), 0);
	f->py.bias = f->addr - file_addr;
	proc_maps__free(&maps);
}

/* A link on every process when PID is 0. False: no such right, or no such kernel. */
static bool set_probe(const struct fixture *f, pid_t pid, struct uprobe_links *links)
{
	struct uprobe_target target = { .path = f->py.open_path, .pid = pid, .multi = uprobe__have_multi() };
	int prog_fd = uprobe__empty_program(target.multi), err;

	if (prog_fd < 0 || (!pid && !target.multi)) {
		if (prog_fd >= 0)
			close(prog_fd);
		return false;
	}
	err = uprobe__attach(&target, prog_fd, &f->off, NULL, 1, false, links);
	close(prog_fd);
	assert_int_equal(err, 0);
	return true;
}

static void a_probe_is_seen(void **state)
{
	struct uprobe_links links = { 0 };
	struct fixture f;

	(void)state;
	open_self(&f);
	assert_false(reach__has_probe(&f.py, f.addr));
	assert_true(reach__is_unchanged(&f.py, f.addr));
	if (set_probe(&f, getpid(), &links)) {
		assert_true(reach__has_probe(&f.py, f.addr));
		assert_false(reach__has_probe(&f.py, f.addr + 1));
		assert_true(reach__is_unchanged(&f.py, f.addr));
	}
	uprobe_links__close(&links);
	assert_false(reach__has_probe(&f.py, f.addr));
	py_interp__close(&f.py);
}

/* As another tool sets them, or we do for a whole host. */
static void a_probe_in_every_process_does_not_change_the_file(void **state)
{
	struct uprobe_links links = { 0 };
	const uint8_t *bytes;
	struct fixture f;

	(void)state;
	open_self(&f);
	bytes = elf_file__bytes(f.py.elf, f.addr - f.py.bias, 2);
	assert_int_equal(bytes[0], 0x53);
	if (set_probe(&f, 0, &links)) {
		assert_true(reach__has_probe(&f.py, f.addr));
		assert_int_equal(bytes[0], 0x53);
	}
	uprobe_links__close(&links);
	py_interp__close(&f.py);
}

static void write_code(uint64_t addr, uint8_t byte)
{
	void *page = (void *)(addr & -4096ULL);

	assert_int_equal(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	*(volatile uint8_t *)addr = byte;
}

static void what_else_patches_code_is_told_from_probes(void **state)
{
	struct fixture f;

	(void)state;
	open_self(&f);
	write_code(f.addr + 12, 0xcc);
	assert_true(reach__is_unchanged(&f.py, f.addr));
	write_code(f.addr + 12, 0xc3);
	assert_false(reach__is_unchanged(&f.py, f.addr));
	write_code(f.addr + 12, 0x90);
	/* a long nop that became a call */
	write_code(f.addr + 2, 0xe8);
	write_code(f.addr + 5, 0x12);
	assert_true(reach__is_unchanged(&f.py, f.addr));
	py_interp__close(&f.py);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_is_seen),
		cmocka_unit_test(a_probe_in_every_process_does_not_change_the_file),
		cmocka_unit_test(what_else_patches_code_is_told_from_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
