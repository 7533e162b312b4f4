// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The text of a foreign interpreter, decoded to find where probes go. */
#include "gc_probe.h"
#include "input.h"
#include "place.h"
#include "python.h"
#include "recycle.h"
#include "tls.h"

enum { POINTS = 16, REFS = 8 };

static int read_word(void *ctx, uint64_t addr, uint64_t *value)
{
	*value = addr ^ *(uint64_t *)ctx;
	return addr & 1;
}

static void look_at_function(const uint8_t *text, size_t size, uint64_t addr)
{
	uint64_t refs[REFS], key = 0x1000;
	struct tls_access access = tls__decode(text, size);
	struct place place;

	must((unsigned int)access.model <= TLS_INDEX);
	for (int nargs = 1; nargs <= 2; nargs++) {
		if (!place__entry(text, size, addr, nargs, &place))
			must(place.addr - addr < size);
		if (!place__plain_entry(text, size, addr, nargs, &place))
			must(place.addr - addr < size);
	}
	place__is_emulated(text, size);
	place__tail(text, size, addr, &place);
	must(place__data_refs(text, size, addr, read_word, &key, refs, REFS) <= REFS);
}

static void look_at_text(const uint8_t *text, size_t size, uint64_t addr, uint64_t fn)
{
	struct place place;

	must(place__guards(text, size, addr, fn) <= size);
	place__arrives_at(text, size, addr, fn);
	if (!place__alias(text, size, addr, fn, &place))
		must(place.addr - addr < size);
}

/* The lists' offsets are few and small: a mutation finds them. */
static void look_for_free_lists(const uint8_t *text, size_t size, uint64_t addr, bool chains)
{
	const struct py_freelists lists = { .known = true, .dict_cnt = 0x10, .dicts = 0x18, .keys_cnt = 0x20, .keys = 0x28, .list_cnt = 0x30,
					    .lists = 0x38, .chains = chains, .tuples = 0x40, .tuples_step = 16, .floats = 0x200, .ints = 0x210 };
	struct recycle_point points[POINTS];
	size_t cnt = recycle__find(text, size, addr, &lists, points, POINTS);

	must(cnt <= POINTS);
	for (size_t i = 0; i < cnt; i++)
		must(points[i].addr - addr < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t what = input__number(&in, 1);
	const uint64_t addr = what & 1 ? 0x401000 : UINT64_MAX - input__number(&in, 2);
	const uint64_t fn = addr + input__number(&in, 2);
	struct gc_probe probe;
	uint8_t *text = input__bytes(&in);
	char *arg = input__text(&in);

	look_at_function(text, in.left, addr);
	look_at_text(text, in.left, addr, fn);
	look_for_free_lists(text, in.left, addr, what & 2);
	gc_probe__parse_arg(arg, &probe);
	free(text);
	free(arg);
	return 0;
}
