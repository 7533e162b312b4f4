// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "layout.h"

#include <stddef.h>

/* Py_TPFLAGS_MANAGED_DICT is bit 4, Py_TPFLAGS_MANAGED_WEAKREF (3.12+) bit 3. */
static const struct py_layout layouts[] = {
	{
		.major = 3, .minor = 8,
		.free_keys_cnt = NO_OFF, .free_keys = NO_OFF,
		.free_dict_cnt = NO_OFF, .free_dicts = NO_OFF, .free_list_cnt = NO_OFF, 
		.free_lists = NO_OFF, .free_tuples = NO_OFF, .free_floats = NO_OFF,
		.runtime_finalizing = 16, .runtime_main_interp = NO_OFF,
		.runtime_interp_head = 32, .runtime_interp_main = 40, .runtime_tstate_current = 1368,
		.runtime_gc = 344,
		.interp_next = 0, .interp_id = 16, .interp_tstate_head = 8, .interp_gc = NO_OFF,
		.interp_gil = NO_OFF,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 176,
		.tstate_frame = 24, .cframe_current = NO_OFF,
		.frame_code = 32, .frame_back = 24, .frame_lasti = 104, .frame_owner = NO_OFF,
		.frame_owner_cstack = NO_OFF, .lasti_kind = LASTI_BYTES,
		.code_size = 176, .code_filename = 104, .code_name = 112, .code_first_line = 40,
		.code_line_table = 120, .code_instr = NO_OFF, .code_first_traceable = NO_OFF,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 416, .heap_type_qualname = 864,
		.heap_type_cached_keys = 872,
		.preheader_bytes = 0, .preheader_flags = 0,
		.str_length = 16, .str_state = 32, .str_wstr = 40, .str_ascii_size = 48,
		.str_compact_size = 72, .str_wstr_length = 64, .str_data = 72,
		.dict_keys = 32, .dict_values = 40, .keys_kind = NO_OFF, .keys_size = 8, .keys_usable = 24,
		.keys_nentries = 32, .keys_indices = 40, .values_first = 0,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
	{
		.major = 3, .minor = 9,
		.free_keys_cnt = NO_OFF, .free_keys = NO_OFF,
		.free_dict_cnt = NO_OFF, .free_dicts = NO_OFF, .free_list_cnt = NO_OFF, 
		.free_lists = NO_OFF, .free_tuples = NO_OFF, .free_floats = NO_OFF,
		.runtime_finalizing = 16, .runtime_main_interp = NO_OFF,
		.runtime_interp_head = 32, .runtime_interp_main = 40, .runtime_tstate_current = 568,
		.runtime_gc = NO_OFF,
		.interp_next = 0, .interp_id = 24, .interp_tstate_head = 8, .interp_gc = 616,
		.interp_gil = NO_OFF,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 176,
		.tstate_frame = 24, .cframe_current = NO_OFF,
		.frame_code = 32, .frame_back = 24, .frame_lasti = 104, .frame_owner = NO_OFF,
		.frame_owner_cstack = NO_OFF, .lasti_kind = LASTI_BYTES,
		.code_size = 176, .code_filename = 104, .code_name = 112, .code_first_line = 40,
		.code_line_table = 120, .code_instr = NO_OFF, .code_first_traceable = NO_OFF,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 408, .heap_type_qualname = 856,
		.heap_type_cached_keys = 864,
		.preheader_bytes = 0, .preheader_flags = 0,
		.str_length = 16, .str_state = 32, .str_wstr = 40, .str_ascii_size = 48,
		.str_compact_size = 72, .str_wstr_length = 64, .str_data = 72,
		.dict_keys = 32, .dict_values = 40, .keys_kind = NO_OFF, .keys_size = 8, .keys_usable = 24,
		.keys_nentries = 32, .keys_indices = 40, .values_first = 0,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
	{
		.major = 3, .minor = 10,
		.free_keys_cnt = 11976, .free_keys = 11336,
		.free_dict_cnt = 11328, .free_dicts = 10688, .free_list_cnt = 10680, 
		.free_lists = 10040, .free_tuples = 9800, .free_floats = 9784,
		.runtime_finalizing = 16, .runtime_main_interp = NO_OFF,
		.runtime_interp_head = 32, .runtime_interp_main = 40, .runtime_tstate_current = 568,
		.runtime_gc = NO_OFF,
		.interp_next = 0, .interp_id = 24, .interp_tstate_head = 8, .interp_gc = 616,
		.interp_gil = NO_OFF,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 176,
		.tstate_frame = 24, .cframe_current = NO_OFF,
		.frame_code = 32, .frame_back = 24, .frame_lasti = 96, .frame_owner = NO_OFF,
		.frame_owner_cstack = NO_OFF, .lasti_kind = LASTI_UNITS,
		.code_size = 176, .code_filename = 104, .code_name = 112, .code_first_line = 40,
		.code_line_table = 120, .code_instr = NO_OFF, .code_first_traceable = NO_OFF,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 408, .heap_type_qualname = 864,
		.heap_type_cached_keys = 872,
		.preheader_bytes = 0, .preheader_flags = 0,
		.str_length = 16, .str_state = 32, .str_wstr = 40, .str_ascii_size = 48,
		.str_compact_size = 72, .str_wstr_length = 64, .str_data = 72,
		.dict_keys = 32, .dict_values = 40, .keys_kind = NO_OFF, .keys_size = 8, .keys_usable = 24,
		.keys_nentries = 32, .keys_indices = 40, .values_first = 0,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
	{
		.major = 3, .minor = 11,
		.free_keys_cnt = 5808, .free_keys = 5168,
		.free_dict_cnt = 5160, .free_dicts = 4520, .free_list_cnt = 4512, 
		.free_lists = 3872, .free_tuples = 3632, .free_floats = 3616,
		.runtime_finalizing = 24, .runtime_main_interp = NO_OFF,
		.runtime_interp_head = 40, .runtime_interp_main = 48, .runtime_tstate_current = 576,
		.runtime_gc = NO_OFF,
		.interp_next = 0, .interp_id = 48, .interp_tstate_head = 16, .interp_gc = 648,
		.interp_gil = NO_OFF,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 152,
		.tstate_frame = 56, .cframe_current = 8,
		.frame_code = 32, .frame_back = 48, .frame_lasti = 56, .frame_owner = 69,
		.frame_owner_cstack = NO_OFF, .lasti_kind = LASTI_POINTER,
		.code_size = 184, .code_filename = 112, .code_name = 128, .code_first_line = 72,
		.code_line_table = 136, .code_instr = 184, .code_first_traceable = 168,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 408, .heap_type_qualname = 864,
		.heap_type_cached_keys = 872,
		.preheader_bytes = 16, .preheader_flags = 0x10,
		.str_length = 16, .str_state = 32, .str_wstr = 40, .str_ascii_size = 48,
		.str_compact_size = 72, .str_wstr_length = 64, .str_data = 72,
		.dict_keys = 32, .dict_values = 40, .keys_kind = 10, .keys_size = 8, .keys_usable = 16,
		.keys_nentries = 24, .keys_indices = 32, .values_first = 0,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
	{
		.major = 3, .minor = 12,
		.free_keys_cnt = 272020, .free_keys = 271376,
		.free_dict_cnt = 272016, .free_dicts = 270736, .free_list_cnt = 270712, 
		.free_lists = 270072, .free_tuples = 269832, .free_floats = 267416,
		.runtime_finalizing = 24, .runtime_main_interp = 76392,
		.runtime_interp_head = 40, .runtime_interp_main = 48, .runtime_tstate_current = NO_OFF,
		.runtime_gc = NO_OFF,
		.interp_next = 0, .interp_id = 8, .interp_tstate_head = 72, .interp_gc = 112,
		.interp_gil = 384,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 136,
		.tstate_frame = 56, .cframe_current = 0,
		.frame_code = 0, .frame_back = 8, .frame_lasti = 56, .frame_owner = 70,
		.frame_owner_cstack = 3, .lasti_kind = LASTI_POINTER,
		.code_size = 192, .code_filename = 112, .code_name = 128, .code_first_line = 68,
		.code_line_table = 136, .code_instr = 192, .code_first_traceable = 176,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 416, .heap_type_qualname = 872,
		.heap_type_cached_keys = 880,
		.preheader_bytes = 16, .preheader_flags = 0x18,
		.str_length = 16, .str_state = 32, .str_wstr = NO_OFF, .str_ascii_size = 40,
		.str_compact_size = 56, .str_wstr_length = NO_OFF, .str_data = 56,
		.dict_keys = 32, .dict_values = 40, .keys_kind = 10, .keys_size = 8, .keys_usable = 16,
		.keys_nentries = 24, .keys_indices = 32, .values_first = 0,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
	{
		.major = 3, .minor = 13,
		.free_keys_cnt = 13144, .free_keys = 12504,
		.free_dict_cnt = 12496, .free_dicts = 11856, .free_list_cnt = 11848, 
		.free_lists = 11208, .free_tuples = 10968, .free_floats = 10960,
		.runtime_finalizing = 608, .runtime_main_interp = 88352,
		.runtime_interp_head = 632, .runtime_interp_main = 640, .runtime_tstate_current = NO_OFF,
		.runtime_gc = NO_OFF,
		.interp_next = 7264, .interp_id = 7272, .interp_tstate_head = 7344, .interp_gc = 7400,
		.interp_gil = 16,
		.gc_generations = 24, .gc_generation0 = 96, .gc_stats = 128, .gil_last_holder = 8,
		.tstate_prev = 0, .tstate_next = 8, .tstate_interp = 16, .tstate_thread_id = 152,
		.tstate_frame = 72, .cframe_current = NO_OFF,
		.frame_code = 0, .frame_back = 8, .frame_lasti = 56, .frame_owner = 70,
		.frame_owner_cstack = 3, .lasti_kind = LASTI_POINTER,
		.code_size = 200, .code_filename = 112, .code_name = 128, .code_first_line = 68,
		.code_line_table = 136, .code_instr = 200, .code_first_traceable = 184,
		.type_name = 24, .type_basicsize = 32, .type_itemsize = 40, .type_dealloc = 48,
		.type_flags = 168,
		.type_base = 256, .type_dict = 264, .type_size = 416, .heap_type_qualname = 872,
		.heap_type_cached_keys = 880,
		.preheader_bytes = 16, .preheader_flags = 0x18,
		.str_length = 16, .str_state = 32, .str_wstr = NO_OFF, .str_ascii_size = 40,
		.str_compact_size = 56, .str_wstr_length = NO_OFF, .str_data = 56,
		.dict_keys = 32, .dict_values = 40, .keys_kind = 10, .keys_size = 8, .keys_usable = 16,
		.keys_nentries = 24, .keys_indices = 32, .values_first = 8,
		.list_items = 24, .set_mask = 32, .set_table = 40, .set_small_table = 64,
		.bytearray_alloc = 24, .bytearray_bytes = 32, .deque_left = 24, .deque_right = 32,
	},
};

const struct py_layout *py_layout__find(int major, int minor)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].major == major && layouts[i].minor == minor)
			return &layouts[i];
	return NULL;
}

enum managed_kind py_layout__managed(const struct py_layout *l)
{
	if (!l->preheader_bytes)
		return MANAGED_NONE;
	if (l->values_first)
		return MANAGED_INLINE;
	return l->frame_owner_cstack == NO_OFF ? MANAGED_VALUES_WORD : MANAGED_TAGGED_WORD;
}

static uint16_t walk_off(uint32_t off)
{
	return off == NO_OFF ? WALK_NONE : off;
}

static uint32_t min_off(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_off(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

void py_layout__walk(const struct py_layout *l, struct walk_layout *out)
{
	/* From the first wanted field on: all of them are within FRAME_WINDOW_BYTES in every version. */
	uint32_t window = min_off(l->frame_code, min_off(l->frame_back, l->frame_lasti));
	uint32_t end = max_off(l->frame_code, max_off(l->frame_back, l->frame_lasti)) + 8;

	if (l->frame_owner_cstack != NO_OFF)
		end = max_off(end, l->frame_owner + 1);

	*out = (struct walk_layout){
		.tstate_next_off = l->tstate_next,
		.tstate_thread_id_off = l->tstate_thread_id,
		.tstate_frame_off = l->tstate_frame,
		.cframe_current_off = walk_off(l->cframe_current),
		.frame_window_off = window,
		.frame_window_bytes = end - window,
		.frame_code_off = l->frame_code - window,
		.frame_back_off = l->frame_back - window,
		.frame_lasti_off = l->frame_lasti - window,
		.frame_owner_off = l->frame_owner == NO_OFF ? WALK_NONE : l->frame_owner - window,
		.frame_owner_cstack = walk_off(l->frame_owner_cstack),
		.lasti_kind = l->lasti_kind,
		.code_instr_off = walk_off(l->code_instr),
		.code_filename_off = l->code_filename,
		.code_name_off = l->code_name,
		.code_line_table_off = l->code_line_table,
		.type_basicsize_off = l->type_basicsize,
		.type_flags_off = l->type_flags,
		.gc_head_bytes = 16,
		.preheader_bytes = l->preheader_bytes,
		.preheader_flags = l->preheader_flags,
	};
}
