// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looking up a name in a made-up dict of 3.8, up to sizes that nobody wants to read whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dict.h"
#include "layout.h"
#include "python.h"

#define IMAGE_ADDR 0x7f0000000000UL
enum { PLACES = 65536, ENTRY_BYTES = 24, STR_TYPE = 0x5000, DICT_OFF = 0, OTHER_OFF = 256, WANTED_OFF = 512, KEYS_OFF = 1024, IMAGE_BYTES = 4 << 20 };

struct world {
	unsigned char image[IMAGE_BYTES];
	struct py_interp py;
};

static void put(struct world *w, uint64_t off, uint64_t value)
{
	memcpy(w->image + off, &value, sizeof(value));
}

static void put_str(struct world *w, uint64_t off, const char *text)
{
	const struct py_layout *l = w->py.layout;

	put(w, off + 8, STR_TYPE);
	put(w, off + l->str_length, strlen(text));
	put(w, off + l->str_state, 0x64); /* compact, ASCII */
	memcpy(w->image + off + l->str_ascii_size, text, strlen(text) + 1);
}

/* A dict of CNT entries, the last of which is the wanted one. */
static void make_dict(struct world *w, uint64_t cnt)
{
	const struct py_layout *l = w->py.layout;
	uint64_t entries = KEYS_OFF + l->keys_indices + 4 * PLACES;

	put(w, DICT_OFF + l->dict_keys, IMAGE_ADDR + KEYS_OFF);
	put(w, KEYS_OFF + l->keys_size, PLACES);
	put(w, KEYS_OFF + l->keys_nentries, cnt);
	for (uint64_t i = 0; i < cnt; i++) {
		put(w, entries + i * ENTRY_BYTES + 8, IMAGE_ADDR + (i + 1 == cnt ? WANTED_OFF : OTHER_OFF));
		put(w, entries + i * ENTRY_BYTES + 16, i + 1);
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (!w)
		return -1;
	w->py = (struct py_interp){ .major = 3, .minor = 8, .layout = py_layout__find(3, 8), .types = { .str = STR_TYPE } };
	w->py.mem = remote__image(w->image, sizeof(w->image), IMAGE_ADDR);
	put_str(w, OTHER_OFF, "other");
	put_str(w, WANTED_OFF, "wanted");
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void what_is_there_is_found(void **state)
{
	struct world *w = *state;
	uint64_t value;

	make_dict(w, 8000);
	assert_int_equal(py_dict__find(&w->py, IMAGE_ADDR, "wanted", &value), 0);
	assert_int_equal(value, 8000);
	assert_int_equal(py_dict__find(&w->py, IMAGE_ADDR, "missing", &value), -ENOENT);
}

/* Behind so many others it may be there or not: that is not "not there". */
static void too_many_to_look_at(void **state)
{
	struct world *w = *state;
	uint64_t value;

	make_dict(w, 20000);
	assert_int_equal(py_dict__find(&w->py, IMAGE_ADDR, "other", &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(py_dict__find(&w->py, IMAGE_ADDR, "wanted", &value), -EFAULT);
	assert_int_equal(py_dict__find(&w->py, IMAGE_ADDR, "missing", &value), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_there_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_to_look_at, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
