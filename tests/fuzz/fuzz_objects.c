// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects of every version in memory that says anything: types, str, dict, code, line tables, what a block is for. */
#include <limits.h>

#include "code.h"
#include "dict.h"
#include "input.h"
#include "layout.h"
#include "object.h"
#include "python.h"
#include "str.h"
#include "type.h"

/* Low, so that addresses are short and easily hit upon. */
enum { IMAGE_ADDR = 0x1000, IMAGE_BYTES = 16384, TYPE_SPACE = 512 };

static const struct {
	int major, minor;
} versions[] = { { 2, 7 }, { 3, 6 }, { 3, 7 }, { 3, 8 }, { 3, 9 }, { 3, 10 }, { 3, 11 }, { 3, 12 }, { 3, 13 }, { 3, 14 } };

static void put(uint8_t *image, uint64_t addr, uint64_t value)
{
	memcpy(image + (addr - IMAGE_ADDR), &value, sizeof(value));
}

/* Good enough to be taken for one; the input may have overwritten it. */
static void put_type(uint8_t *image, const struct py_layout *l, uint64_t addr, uint64_t metatype, uint64_t flags)
{
	put(image, addr, 1);
	put(image, addr + 8, metatype);
	put(image, addr + l->type_name, addr);
	put(image, addr + l->type_basicsize, 32);
	put(image, addr + l->type_flags, flags | TYPE_READY);
}

/* The first types are at the begin of the image: what the input says of memory comes after them, or over them. */
static void make_world(struct py_interp *py, struct input *in, uint8_t *image)
{
	size_t i = input__number(in, 1) % (sizeof(versions) / sizeof(versions[0]));
	const struct py_layout *l = py_layout__find(versions[i].major, versions[i].minor);
	const uint64_t type = IMAGE_ADDR;
	uint64_t *const all[] = { &py->types.type, &py->types.str, &py->types.bytes, &py->types.dict, &py->types.list, &py->types.set,
				  &py->types.bytearray, &py->types.code };
	static const uint64_t flags[] = { TYPE_TYPE_SUBCLASS | TYPE_GC, TYPE_STR_SUBCLASS | TYPE_STRING_SUBCLASS, TYPE_STRING_SUBCLASS,
					  TYPE_DICT_SUBCLASS | TYPE_GC, TYPE_LIST_SUBCLASS | TYPE_GC, TYPE_GC, 0, 0 };
	size_t skip;

	*py = (struct py_interp){ .major = versions[i].major, .minor = versions[i].minor, .layout = l, .gc_head_bytes = l->gc_head };
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*all[i] = type + i * TYPE_SPACE;
		put_type(image, l, *all[i], type, flags[i]);
	}
	skip = input__number(in, 1) ? sizeof(all) / sizeof(all[0]) * TYPE_SPACE : 0;
	memcpy(image + skip, in->at, in->left < IMAGE_BYTES - skip ? in->left : IMAGE_BYTES - skip);
	py->mem = remote__image(image, IMAGE_BYTES, IMAGE_ADDR);
}

static void look_at_code(const struct py_interp *py, uint64_t addr, int lasti)
{
	struct py_code code;
	int line;

	if (py_code__read(py, addr, &code))
		return;
	line = py_code__line(&code, lasti);
	must(line >= 0);
	py_code__position(py, &code, lasti, lasti & 2);
	py_code__free(&code);
}

/* All decoders, whatever the version. */
static void look_at_lines(const struct input *in, int first_line, int lasti)
{
	static int (*const decoders[])(const unsigned char *, size_t, int, int) = { pyline__unsigned, pyline__lnotab, pyline__linetable310,
										      pyline__locations };
	void *table = input__bytes(in);

	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++)
		must(decoders[i](table, in->left, first_line, lasti) >= 0);
	free(table);
}

static void look_at_texts(const struct py_interp *py, uint64_t addr, size_t size)
{
	char *text = malloc(size), *copy;

	must(text);
	if (!py_str__read(py, addr, text, size))
		must(strlen(text) < size);
	if (!py_cstr__read(py, addr, text, size))
		must(strlen(text) < size);
	if (!py_type__name(py, addr, text, size, NULL))
		must(strlen(text) < size);
	if (!py_str__dup(py, addr, size, &copy))
		free(copy);
	free(text);
}

static void look_at_dict(const struct py_interp *py, uint64_t addr)
{
	static const char *const keys[] = { "", "__module__", "a" };
	struct dict_entry entries[64];
	uint64_t value;
	int cnt;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		py_dict__find(py, addr, keys[i], &value);
	cnt = py_dict__entries(py, addr, entries, sizeof(entries) / sizeof(entries[0]));
	must(cnt <= (int)(sizeof(entries) / sizeof(entries[0])));
}

static void look_at_block(const struct py_interp *py, uint64_t addr, uint64_t size)
{
	struct owned_buffer buffers[4];
	uint64_t type, stamp;
	uint32_t off;

	must((unsigned int)py_block__use(py, addr, size) < USE_CNT);
	if (!py_block__object(py, addr, size, NULL, 0, &type, &off)) {
		must(off + 16 <= size);
		must(py_object__buffers(py, addr + off, type, buffers, 4) <= 4);
	}
	py_type__stamp(py, addr, &stamp);
	py_object__buffers(py, addr, addr, buffers, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint64_t addr = input__number(&in, 2) + IMAGE_ADDR, block_bytes = input__number(&in, 2);
	int lasti = (int16_t)input__number(&in, 2), first_line = input__number(&in, 4);
	uint8_t *image = calloc(1, IMAGE_BYTES);
	struct dict_keys keys;
	struct py_interp py;
	void *header;

	must(image);
	look_at_lines(&in, first_line, lasti);
	make_world(&py, &in, image);
	if (in.left >= DICT_KEYS_HEADER_BYTES && py.layout->dict_mask == NO_OFF) {
		header = input__bytes(&in);
		if (!dict_keys__decode(py.layout, header, &keys))
			must(keys.usable + keys.nentries <= keys.places && keys.total_bytes >= keys.entries_off);
		free(header);
	}
	look_at_code(&py, addr, lasti);
	look_at_texts(&py, addr, 1 + block_bytes % 600);
	look_at_dict(&py, addr);
	look_at_block(&py, addr, block_bytes);
	free(image);
	return 0;
}
