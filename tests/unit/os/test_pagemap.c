// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pages of our own: touched, only read, never touched, guarded; asked for in both ways that kernels have. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pagemap.h"

enum { PAGE = 4096, PAGES = 20000, GUARD_INSTALL = 102 };

static unsigned char *make_pages(void)
{
	unsigned char *at = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	madvise(at, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
	return at;
}

static struct pagemap *open_own(bool scan)
{
	struct pagemap *p = malloc(sizeof(*p));

	assert_non_null(p);
	assert_int_equal(pagemap__open(p, getpid()), 0);
	if (scan && !p->scan) {
		pagemap__close(p);
		free(p);
		return NULL;
	}
	p->scan = scan;
	return p;
}

/* SEEN gets a 1 per page that is told; each must come once, in order. */
static void see(struct pagemap *p, const unsigned char *at, unsigned char *seen)
{
	uint64_t start = (uintptr_t)at, end = start + (uint64_t)PAGES * PAGE, last = start;
	struct page_range range;
	int got;

	memset(seen, 0, PAGES);
	pagemap__look_at(p, start, end);
	while ((got = pagemap__next(p, &range)) > 0) {
		assert_true(range.start >= last && range.start < range.end && range.end <= end);
		assert_false(range.swapped);
		memset(seen + (range.start - start) / PAGE, 1, (range.end - range.start) / PAGE);
		last = range.end;
	}
	assert_int_equal(got, 0);
}

static void what_was_touched_is_told(bool scan)
{
	struct pagemap *p = open_own(scan);
	unsigned char *at = make_pages(), *seen = malloc(PAGES), *expected = calloc(1, PAGES);

	assert_true(seen && expected);
	if (!p)
		skip();
	srand(3);
	see(p, at, seen);
	assert_memory_equal(seen, expected, PAGES);
	for (int i = 0; i < 3000; i++) {
		int page = rand() % PAGES;

		at[page * PAGE] = 1;
		expected[page] = 1;
	}
	memset(at + 7000 * PAGE, 1, 5000 * PAGE);
	memset(expected + 7000, 1, 5000);
	see(p, at, seen);
	assert_memory_equal(seen, expected, PAGES);
	/* Part of it, from the middle of a run. */
	pagemap__look_at(p, (uintptr_t)at + 8000 * PAGE, (uintptr_t)at + 8010 * PAGE);
	for (uint64_t bytes = 0; bytes < 10 * PAGE;) {
		struct page_range range;

		assert_int_equal(pagemap__next(p, &range), 1);
		bytes += range.end - range.start;
		assert_true(bytes <= 10 * PAGE);
	}
	munmap(at, (size_t)PAGES * PAGE);
	pagemap__close(p);
	free(seen);
	free(expected);
	free(p);
}

static void touched_by_scan(void **state)
{
	(void)state;
	what_was_touched_is_told(true);
}

static void touched_by_entries(void **state)
{
	(void)state;
	what_was_touched_is_told(false);
}

/* Resident pages of this process: the page of zeros is none of them. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	long kb = -1;

	while (f && kb < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "Rss: %ld kB", &kb);
	if (f)
		fclose(f);
	return kb;
}

/* Some kernels for guests give each page that is read one of its own (pvm_no_zero_page). */
static bool kernel_shares_zeros(void)
{
	const size_t cnt = 1024;
	volatile unsigned char *at = mmap(NULL, cnt * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before;

	assert_true(at != MAP_FAILED);
	madvise((void *)at, cnt * PAGE, MADV_NOHUGEPAGE);
	before = resident();
	for (size_t i = 0; i < cnt; i++)
		assert_int_equal(at[i * PAGE], 0);
	before = resident() - before;
	munmap((void *)at, cnt * PAGE);
	return before < (long)(cnt * PAGE / 1024 / 2);
}

/* A page that was only read is the kernel's page of zeros. */
static void zeros_are_not_told(void **state)
{
	struct pagemap *p = open_own(true);
	unsigned char *at = make_pages(), *seen = malloc(PAGES);

	(void)state;
	if (!p || !kernel_shares_zeros())
		skip();
	assert_int_equal(*(volatile unsigned char *)(at + 5 * PAGE), 0);
	at[6 * PAGE] = 1;
	see(p, at, seen);
	assert_int_equal(seen[5], 0);
	assert_int_equal(seen[6], 1);
	munmap(at, (size_t)PAGES * PAGE);
	pagemap__close(p);
	free(seen);
	free(p);
}

static void guards_are_not_told(bool scan)
{
	struct pagemap *p = open_own(scan);
	unsigned char *at = make_pages(), *seen = malloc(PAGES);

	at[6 * PAGE] = 1;
	if (!p || madvise(at + 7 * PAGE, PAGE, GUARD_INSTALL))
		skip();
	see(p, at, seen);
	assert_int_equal(seen[6], 1);
	assert_int_equal(seen[7], 0);
	munmap(at, (size_t)PAGES * PAGE);
	pagemap__close(p);
	free(seen);
	free(p);
}

static void guards_by_scan(void **state)
{
	(void)state;
	guards_are_not_told(true);
}

static void guards_by_entries(void **state)
{
	(void)state;
	guards_are_not_told(false);
}

static void who_is_gone_is_said(void **state)
{
	struct pagemap *p = malloc(sizeof(*p));
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	assert_int_equal(pagemap__open(p, pid), -ESRCH);
	pagemap__close(p);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touched_by_scan),    cmocka_unit_test(touched_by_entries),  cmocka_unit_test(zeros_are_not_told),
		cmocka_unit_test(guards_by_scan),     cmocka_unit_test(guards_by_entries),   cmocka_unit_test(who_is_gone_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
