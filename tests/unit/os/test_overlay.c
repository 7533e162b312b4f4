// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "overlay.h"

static const char mounts[] =
	"22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw\n"
	"28 1 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/l/A:/l/B:/l/C,upperdir=/u,workdir=/w\n"
	"29 28 254:0 /srv /srv rw - ext4 /dev/vda rw\n"
	"30 28 0:41 /sub\\040dir /opt/py\\040thon rw shared:1 master:2 - overlay none rw,lowerdir+=/x/a:b,lowerdir+=/x/c,datadir+=/x/d,xino=off\n"
	"31 28 0:42 / /colons rw - overlay o rw,lowerdir=/p\\134:q:/r\\054s::/data\n"
	"32 28 0:43 / /covered rw - overlay o rw,lowerdir=/never\n"
	"33 28 0:44 / /covered rw - tmpfs o rw\n";

static void expect_layers(const char *path, const char *rel, const char *const *layers)
{
	struct overlay o;
	char dir[64];

	assert_int_equal(overlay__find(mounts, path, &o), 0);
	assert_string_equal(o.rel, rel);
	for (size_t i = 0; layers[i]; i++) {
		assert_int_equal(overlay__lower(&o, i, dir, sizeof(dir)), 0);
		assert_string_equal(dir, layers[i]);
		assert_int_equal(overlay__lower(&o, i, dir, 2), -ENAMETOOLONG);
		assert_int_equal(overlay__lower(&o, i + 1, dir, sizeof(dir)), layers[i + 1] ? 0 : -ENOENT);
	}
}

static void layers(void **state)
{
	(void)state;
	expect_layers("/usr/bin/python3", "/usr/bin/python3", (const char *[]){ "/l/A", "/l/B", "/l/C", NULL });
	expect_layers("/srvx/python3", "/srvx/python3", (const char *[]){ "/l/A", "/l/B", "/l/C", NULL });
	expect_layers("/opt/py thon/bin/python3", "/sub dir/bin/python3", (const char *[]){ "/x/a:b", "/x/c", NULL });
	expect_layers("/colons/py", "/py", (const char *[]){ "/p:q", "/r,s", "/data", NULL });
}

static void no_overlay(void **state)
{
	struct overlay o;

	(void)state;
	assert_int_equal(overlay__find(mounts, "/srv/python3", &o), -ENOENT);
	assert_int_equal(overlay__find(mounts, "/covered/python3", &o), -ENOENT);
	assert_int_equal(overlay__find("", "/usr/bin/python3", &o), -ENOENT);
	assert_int_equal(overlay__find("1 2 3\n\n - overlay x lowerdir=/a", "/usr/bin/python3", &o), -ENOENT);
}

static void any_bytes(void **state)
{
	static const char alphabet[] = "/:,\\ 0134\nalowerdir=+-.";
	struct overlay o;
	char text[512], dir[64];

	(void)state;
	srandom(1);
	for (int round = 0; round < 100000; round++) {
		size_t len = random() % 200;
		char *mountinfo;

		memcpy(text, round % 2 ? "lowerdir=" : "lowerdir+=", 10);
		for (size_t i = 9 + (round % 2 == 0); i < len; i++)
			text[i] = alphabet[random() % (sizeof(alphabet) - 1)];
		/* an own copy: a sanitizer sees every read beyond the options */
		o.options = mountinfo = malloc(len + 1);
		o.options_len = len;
		memcpy(mountinfo, text, len);
		mountinfo[len] = '\0';
		for (size_t n = 0; n < 8 && overlay__lower(&o, n, dir, sizeof(dir)) != -ENOENT; n++)
			;
		overlay__find(mountinfo, "/usr/bin/python3", &o);
		free(mountinfo);
	}
	for (size_t i = 0; i < sizeof(mounts); i++) {
		memcpy(text, mounts + i, sizeof(mounts) - i < sizeof(text) ? sizeof(mounts) - i : sizeof(text));
		text[sizeof(text) - 1] = '\0';
		overlay__find(text, "/opt/py thon/x", &o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers),
		cmocka_unit_test(no_overlay),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
