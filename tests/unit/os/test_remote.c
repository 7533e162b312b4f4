// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "remote.h"

static void image_reads_stay_inside(void **state)
{
	const char image[16] = "0123456789abcdef";
	struct remote r = remote__image(image, sizeof(image), 0x1000);
	char out[16] = { 0 };

	(void)state;
	assert_int_equal(remote__read(&r, 0x1004, out, 12), 0);
	assert_memory_equal(out, "456789abcdef", 12);
	assert_int_equal(remote__read(&r, 0x1004, out, 13), -EFAULT);
	assert_int_equal(remote__read(&r, 0xfff, out, 2), -EFAULT);
	assert_int_equal(remote__read(&r, 0x1010, out, 0), 0);
	assert_int_equal(remote__read(&r, 0x1011, out, 0), -EFAULT);
	assert_int_equal(remote__read(&r, UINT64_MAX, out, 16), -EFAULT);
	assert_int_equal(remote__read(&r, 0x1008, out, SIZE_MAX), -EFAULT);
}

/* A page with an unmapped one behind it. */
static char *last_page(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(pages != MAP_FAILED);
	assert_int_equal(munmap(pages + 4096, 4096), 0);
	return pages;
}

static void process_reads_are_never_partial(void **state)
{
	struct remote r = remote__process(getpid());
	char *page = last_page(), out[64];
	uint64_t word;

	(void)state;
	memset(page, 'x', 4096);
	assert_int_equal(remote__read(&r, (uintptr_t)page + 4096 - 64, out, 64), 0);
	assert_int_equal(out[63], 'x');
	assert_int_equal(remote__read(&r, (uintptr_t)page + 4096 - 63, out, 64), -EFAULT);
	assert_int_equal(remote__read(&r, 0, out, 8), -EFAULT);
	assert_int_equal(remote__read(&r, UINT64_MAX - 3, out, 8), -EFAULT);
	assert_int_equal(remote__read(&r, 1UL << 63, out, 8), -EFAULT);
	assert_int_equal(remote__read_u64(&r, (uintptr_t)page, &word), 0);
	assert_true(word == 0x7878787878787878);
	munmap(page, 4096);
}

static void many_tells_which_came(void **state)
{
	struct remote r = remote__process(getpid());
	struct remote_item items[300];
	char *page = last_page(), out[300];

	(void)state;
	memset(page, 'y', 4096);
	memset(out, 0, sizeof(out));
	for (int i = 0; i < 300; i++)
		items[i] = (struct remote_item){ i % 7 == 3 ? 8 : (uintptr_t)page + 4096 - (i % 5 == 0), &out[i], 1, 2 };
	assert_int_equal(remote__read_many(&r, items, 300), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(items[i].ok, i % 7 != 3 && i % 5 == 0);
		assert_int_equal(out[i], items[i].ok ? 'y' : 0);
	}
	assert_int_equal(remote__read_many(&r, NULL, 0), 0);
	munmap(page, 4096);
}

static void many_on_an_image(void **state)
{
	struct remote r = remote__image("ab", 2, 100);
	char out[3] = { 0 };
	struct remote_item items[] = { { 100, &out[0], 1, 0 }, { 102, &out[1], 1, 1 }, { 101, &out[2], 1, 0 } };

	(void)state;
	assert_int_equal(remote__read_many(&r, items, 3), 0);
	assert_true(items[0].ok && !items[1].ok && items[2].ok);
	assert_true(out[0] == 'a' && out[2] == 'b');
}

static void a_process_that_is_gone(void **state)
{
	pid_t pid = fork();
	struct remote r = remote__process(pid);
	struct remote_item item;
	uint64_t word;

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(remote__read_u64(&r, (uintptr_t)&word, &word), -ESRCH);
	item = (struct remote_item){ (uintptr_t)&word, &word, 8, 0 };
	assert_int_equal(remote__read_many(&r, &item, 1), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_reads_stay_inside),
		cmocka_unit_test(process_reads_are_never_partial),
		cmocka_unit_test(many_tells_which_came),
		cmocka_unit_test(many_on_an_image),
		cmocka_unit_test(a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
