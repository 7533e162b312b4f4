/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Layouts in which one offset is wrong: the linker puts __wrap_py_layout__find_patch() in the place of the real one (--wrap). For
 * programs of one file.
 */
#ifndef SPOIL_H
#define SPOIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define FIELD(name) { #name, offsetof(struct py_layout, name) }
static const struct {
	const char *name;
	size_t off;
} fields[] = {
	FIELD(runtime_interp_head), FIELD(runtime_interp_main), FIELD(runtime_finalizing), FIELD(runtime_main_interp),
	FIELD(runtime_tstate_current), FIELD(runtime_gc),
	FIELD(interp_next), FIELD(interp_id), FIELD(interp_tstate_head), FIELD(interp_gc), FIELD(interp_gil), FIELD(interp_modules),
	FIELD(gc_generations), FIELD(gc_generation0), FIELD(gc_stats), FIELD(gc_generations_packed), FIELD(gc_head), FIELD(gil_last_holder),
	FIELD(tstate_prev), FIELD(tstate_next), FIELD(tstate_interp), FIELD(tstate_thread_id), FIELD(tstate_frame), FIELD(cframe_current),
	FIELD(frame_code), FIELD(frame_back), FIELD(frame_lasti), FIELD(frame_owner), FIELD(frame_owner_cstack),
	FIELD(code_size), FIELD(code_filename), FIELD(code_name), FIELD(code_first_line), FIELD(code_line_table), FIELD(bytes_data),
	FIELD(code_first_traceable), FIELD(code_instr), FIELD(code_bytecode),
	FIELD(type_name), FIELD(type_basicsize), FIELD(type_itemsize), FIELD(type_dealloc), FIELD(type_flags), FIELD(type_base), FIELD(type_dict), FIELD(type_alloc),
	FIELD(type_size), FIELD(heap_type_qualname), FIELD(heap_type_cached_keys), FIELD(preheader_bytes),
	FIELD(str_length), FIELD(str_state), FIELD(str_wstr), FIELD(str_ascii_size), FIELD(str_compact_size), FIELD(str_wstr_length), FIELD(str_data),
	FIELD(dict_keys), FIELD(dict_values), FIELD(dict_mask), FIELD(dict_small_table),
	FIELD(keys_kind), FIELD(keys_size), FIELD(keys_usable), FIELD(keys_nentries), FIELD(keys_indices), FIELD(values_first),
	FIELD(list_items), FIELD(set_mask), FIELD(set_table), FIELD(set_small_table), FIELD(bytearray_alloc), FIELD(bytearray_bytes),
	FIELD(deque_left), FIELD(deque_right), FIELD(deque_len), FIELD(deque_left_link), FIELD(deque_right_link),
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static const struct py_layout *sound_layout; /* the one that this process has */
static size_t spoilt_field = FIELDS;
static int spoilt_shift;

static uint32_t *field(struct py_layout *l, size_t i)
{
	return (uint32_t *)((char *)l + fields[i].off);
}

/* False: it is as it was. */
static bool spoil(struct py_layout *l)
{
	uint32_t *off, *other, was;

	if (spoilt_field == FIELDS)
		return false;
	off = field(l, spoilt_field);
	if (*off == NO_OFF)
		return false;
	if (spoilt_shift) {
		if ((int)*off + spoilt_shift < 0)
			return false;
		*off += spoilt_shift;
		return true;
	}
	for (size_t i = 1; i < FIELDS; i++) {
		other = field(l, (spoilt_field + i) % FIELDS);
		if (*other == NO_OFF || *other == *off)
			continue;
		was = *off;
		*off = *other;
		*other = was;
		return true;
	}
	return false;
}

const struct py_layout *__real_py_layout__find_patch(int major, int minor, int patch);
const struct py_layout *__wrap_py_layout__find_patch(int major, int minor, int patch);
const struct py_layout *__wrap_py_layout__find_patch(int major, int minor, int patch)
{
	const struct py_layout *l = __real_py_layout__find_patch(major, minor, patch);
	static struct py_layout spoilt;

	if (!l)
		return NULL;
	sound_layout = l;
	spoilt = *l;
	if (!spoil(&spoilt) && spoilt_field < FIELDS)
		return l;
	return &spoilt;
}

#endif
