// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compiled once per interpreter with its own headers: compares the layout table with what the compiler says. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>

#if PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_frame.h"
#include "internal/pycore_dict.h"
#endif
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#endif
#if PY_VERSION_HEX >= 0x03080000
#include "internal/pycore_gil.h"
#include "internal/pycore_pystate.h"
#elif PY_VERSION_HEX >= 0x03070000
#include "internal/pystate.h"
#endif
#if PY_VERSION_HEX >= 0x03090000
#include "internal/pycore_gc.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#elif PY_VERSION_HEX >= 0x03080000
#include "internal/pycore_pymem.h"
#endif
#if PY_MAJOR_VERSION < 3
#undef PyBytesObject
#define PyBytesObject PyStringObject
#endif

#include "layout.h"

static int wrong_cnt, checked_cnt;

static void check(const char *field, uint64_t ours, uint64_t theirs)
{
	checked_cnt++;
	if (ours == theirs)
		return;
	wrong_cnt++;
	printf("  .%s = %llu, (the table says %llu)\n", field, (unsigned long long)theirs, (unsigned long long)ours);
}

#define SAME(field, value) check(#field, l->field, value)
#define OFF(field, type, member) check(#field, l->field, offsetof(type, member))
#define NONE(field) check(#field, l->field, NO_OFF)

static void check_freelists(const struct py_layout *l)
{
#if PY_VERSION_HEX >= 0x030e0000
	NONE(free_keys_cnt);
	NONE(free_dict_cnt);
	NONE(free_list_cnt);
	OFF(free_keys, PyInterpreterState, object_state.freelists.dictkeys);
	OFF(free_dicts, PyInterpreterState, object_state.freelists.dicts);
	OFF(free_lists, PyInterpreterState, object_state.freelists.lists);
	OFF(free_tuples, PyInterpreterState, object_state.freelists.tuples);
	OFF(free_floats, PyInterpreterState, object_state.freelists.floats);
	OFF(free_ints, PyInterpreterState, object_state.freelists.ints);
	SAME(free_tuples_step, sizeof(struct _Py_freelist));
#elif PY_VERSION_HEX >= 0x030d0000
	OFF(free_keys_cnt, PyInterpreterState, object_state.freelists.dictkeys.numfree);
	OFF(free_keys, PyInterpreterState, object_state.freelists.dictkeys.items);
	OFF(free_dict_cnt, PyInterpreterState, object_state.freelists.dicts.numfree);
	OFF(free_dicts, PyInterpreterState, object_state.freelists.dicts.items);
	OFF(free_list_cnt, PyInterpreterState, object_state.freelists.lists.numfree);
	OFF(free_lists, PyInterpreterState, object_state.freelists.lists.items);
	OFF(free_tuples, PyInterpreterState, object_state.freelists.tuples.items);
	OFF(free_floats, PyInterpreterState, object_state.freelists.floats.items);
#elif PY_VERSION_HEX >= 0x030a0000
	OFF(free_keys_cnt, PyInterpreterState, dict_state.keys_numfree);
	OFF(free_keys, PyInterpreterState, dict_state.keys_free_list);
	OFF(free_dict_cnt, PyInterpreterState, dict_state.numfree);
	OFF(free_dicts, PyInterpreterState, dict_state.free_list);
	OFF(free_list_cnt, PyInterpreterState, list.numfree);
	OFF(free_lists, PyInterpreterState, list.free_list);
	OFF(free_tuples, PyInterpreterState, tuple.free_list);
	OFF(free_floats, PyInterpreterState, float_state.free_list);
#else
	NONE(free_keys_cnt);
	NONE(free_keys);
	NONE(free_dict_cnt);
	NONE(free_dicts);
	NONE(free_list_cnt);
	NONE(free_lists);
	NONE(free_tuples);
	NONE(free_floats);
#endif
#if PY_VERSION_HEX < 0x030e0000
	NONE(free_ints);
	SAME(free_tuples_step, sizeof(void *));
#endif
}

#if PY_VERSION_HEX >= 0x03070000
static void check_runtime(const struct py_layout *l)
{
#if PY_VERSION_HEX >= 0x03090000
	OFF(runtime_finalizing, _PyRuntimeState, _finalizing);
#else
	OFF(runtime_finalizing, _PyRuntimeState, finalizing);
#endif
#if PY_VERSION_HEX >= 0x030d0000
	/* debug_offsets.c takes it from there */
	check("runtime_main_interp", sizeof(_PyRuntimeState) - sizeof(PyInterpreterState), offsetof(_PyRuntimeState, _main_interpreter));
#elif PY_VERSION_HEX >= 0x030c0000
	OFF(runtime_main_interp, _PyRuntimeState, _main_interpreter);
#else
	NONE(runtime_main_interp);
#endif
	OFF(runtime_interp_head, _PyRuntimeState, interpreters.head);
	OFF(runtime_interp_main, _PyRuntimeState, interpreters.main);
#if PY_VERSION_HEX < 0x030c0000
	OFF(runtime_tstate_current, _PyRuntimeState, gilstate.tstate_current);
#else
	NONE(runtime_tstate_current);
#endif
	OFF(interp_next, PyInterpreterState, next);
	OFF(interp_id, PyInterpreterState, id);
#if PY_VERSION_HEX < 0x030b0000
	OFF(interp_tstate_head, PyInterpreterState, tstate_head);
#else
	OFF(interp_tstate_head, PyInterpreterState, threads.head);
#endif
#if PY_VERSION_HEX < 0x03090000
	OFF(runtime_gc, _PyRuntimeState, gc);
	NONE(interp_gc);
#else
	NONE(runtime_gc);
	OFF(interp_gc, PyInterpreterState, gc);
#endif
#if PY_VERSION_HEX < 0x030c0000
	NONE(interp_gil);
	NONE(interp_size);
	OFF(interp_modules, PyInterpreterState, modules);
#else
#if PY_VERSION_HEX < 0x030d0000
	/* patch versions may differ a little, and debug builds do */
	check("interp_size", l->interp_size & ~4095UL, sizeof(PyInterpreterState) & ~4095UL);
#else
	NONE(interp_size);
#endif
	OFF(interp_gil, PyInterpreterState, ceval.gil);
	OFF(interp_modules, PyInterpreterState, imports.modules);
#endif
	if (l->gc_generations_packed != offsetof(struct _gc_runtime_state, generations))
		OFF(gc_generations, struct _gc_runtime_state, generations);
#if PY_VERSION_HEX < 0x030e0000
	OFF(gc_generation0, struct _gc_runtime_state, generation0);
#else
	NONE(gc_generation0);
#endif
	OFF(gc_stats, struct _gc_runtime_state, generation_stats);
	check("GC_ENABLED_OFF", GC_ENABLED_OFF, offsetof(struct _gc_runtime_state, enabled));
	OFF(gil_last_holder, struct _gil_runtime_state, last_holder);
}
#else
static void check_runtime(const struct py_layout *l)
{
	NONE(runtime_interp_head);
	OFF(interp_next, PyInterpreterState, next);
	NONE(interp_id);
	OFF(interp_tstate_head, PyInterpreterState, tstate_head);
	NONE(runtime_gc);
	OFF(interp_modules, PyInterpreterState, modules);
	NONE(interp_gc);
	NONE(interp_gil);
	NONE(interp_size);
}
#endif

static void check_thread(const struct py_layout *l)
{
#if PY_MAJOR_VERSION < 3
	NONE(tstate_prev);
#else
	OFF(tstate_prev, PyThreadState, prev);
#endif
	SAME(gc_head, sizeof(PyGC_Head));
	OFF(tstate_next, PyThreadState, next);
	OFF(tstate_interp, PyThreadState, interp);
	OFF(tstate_thread_id, PyThreadState, thread_id);
#if PY_VERSION_HEX < 0x030b0000
	OFF(tstate_frame, PyThreadState, frame);
	NONE(cframe_current);
#elif PY_VERSION_HEX < 0x030d0000
	OFF(tstate_frame, PyThreadState, cframe);
	OFF(cframe_current, _PyCFrame, current_frame);
#else
	OFF(tstate_frame, PyThreadState, current_frame);
	NONE(cframe_current);
#endif
}

static void check_frame(const struct py_layout *l)
{
#if PY_VERSION_HEX < 0x030b0000
	OFF(frame_code, PyFrameObject, f_code);
	OFF(frame_back, PyFrameObject, f_back);
	OFF(frame_lasti, PyFrameObject, f_lasti);
	NONE(frame_owner);
	SAME(lasti_kind, PY_VERSION_HEX < 0x030a0000 ? LASTI_BYTES : LASTI_UNITS);
#else
	OFF(frame_back, struct _PyInterpreterFrame, previous);
	OFF(frame_owner, struct _PyInterpreterFrame, owner);
	SAME(lasti_kind, LASTI_POINTER);
#if PY_VERSION_HEX < 0x030d0000
	OFF(frame_code, struct _PyInterpreterFrame, f_code);
	OFF(frame_lasti, struct _PyInterpreterFrame, prev_instr);
#else
	OFF(frame_code, struct _PyInterpreterFrame, f_executable);
	OFF(frame_lasti, struct _PyInterpreterFrame, instr_ptr);
#endif
#endif
#if PY_VERSION_HEX < 0x030c0000
	NONE(frame_owner_cstack);
#elif PY_VERSION_HEX < 0x030e0000
	SAME(frame_owner_cstack, FRAME_OWNED_BY_CSTACK);
#else
	SAME(frame_owner_cstack, FRAME_OWNED_BY_INTERPRETER);
#endif
#if PY_VERSION_HEX < 0x030e0000
	SAME(frame_code_mask, ~0ULL);
#else
	SAME(frame_code_mask, ~(uint64_t)Py_TAG_BITS);
#endif
#if PY_VERSION_HEX < 0x030b0000
	OFF(frame_locals, PyFrameObject, f_localsplus);
#if PY_VERSION_HEX < 0x030a0000
	OFF(frame_stack_top, PyFrameObject, f_stacktop);
#else
	OFF(frame_stack_top, PyFrameObject, f_stackdepth);
#endif
#else
#if PY_VERSION_HEX < 0x030e0000
	OFF(frame_stack_top, struct _PyInterpreterFrame, stacktop);
#else
	OFF(frame_stack_top, struct _PyInterpreterFrame, stackpointer);
#endif

	OFF(frame_locals, struct _PyInterpreterFrame, localsplus);
#endif
}

static void check_function(const struct py_layout *l)
{
	OFF(function_code, PyFunctionObject, func_code);
	OFF(function_defaults, PyFunctionObject, func_defaults);
	OFF(function_closure, PyFunctionObject, func_closure);
#if PY_MAJOR_VERSION < 3
	NONE(function_kwdefaults);
	NONE(function_annotations);
#else
	OFF(function_kwdefaults, PyFunctionObject, func_kwdefaults);
	OFF(function_annotations, PyFunctionObject, func_annotations);
#endif
}

static void check_code(const struct py_layout *l)
{
	OFF(code_filename, PyCodeObject, co_filename);
	OFF(code_first_line, PyCodeObject, co_firstlineno);
#if PY_VERSION_HEX < 0x030b0000
	OFF(code_name, PyCodeObject, co_name);
	NONE(code_instr);
	OFF(code_bytecode, PyCodeObject, co_code);
	NONE(code_first_traceable);
	SAME(code_size, sizeof(PyCodeObject));
#else
	OFF(code_name, PyCodeObject, co_qualname);
	OFF(code_instr, PyCodeObject, co_code_adaptive);
	NONE(code_bytecode);
	OFF(code_first_traceable, PyCodeObject, _co_firsttraceable);
	OFF(code_size, PyCodeObject, co_code_adaptive);
#endif
#if PY_VERSION_HEX < 0x030a0000
	OFF(code_line_table, PyCodeObject, co_lnotab);
#else
	OFF(code_line_table, PyCodeObject, co_linetable);
#endif
#if PY_VERSION_HEX < 0x030b0000
	OFF(code_varnames, PyCodeObject, co_varnames);
	OFF(code_freevars, PyCodeObject, co_freevars);
	OFF(code_cellvars, PyCodeObject, co_cellvars);
	NONE(code_localsplus_names);
#else
	NONE(code_varnames);
	NONE(code_freevars);
	NONE(code_cellvars);
	OFF(code_localsplus_names, PyCodeObject, co_localsplusnames);
#endif
	OFF(code_stack_size, PyCodeObject, co_stacksize);
	OFF(bytes_data, PyBytesObject, ob_sval);
	SAME(line_format, PY_MAJOR_VERSION < 3 ? LINES_UNSIGNED : PY_MINOR_VERSION < 10 ? LINES_LNOTAB :
	     PY_MINOR_VERSION < 11 ? LINES_RANGES : LINES_LOCATIONS);
}

static void check_type(const struct py_layout *l)
{
	OFF(type_name, PyTypeObject, tp_name);
	OFF(type_basicsize, PyTypeObject, tp_basicsize);
	OFF(type_itemsize, PyTypeObject, tp_itemsize);
	OFF(type_dealloc, PyTypeObject, tp_dealloc);
	OFF(type_flags, PyTypeObject, tp_flags);
	OFF(type_base, PyTypeObject, tp_base);
	OFF(type_dict, PyTypeObject, tp_dict);
	OFF(type_alloc, PyTypeObject, tp_alloc);
	OFF(type_members, PyTypeObject, tp_members);
	OFF(type_dictoffset, PyTypeObject, tp_dictoffset);
	OFF(type_weaklistoffset, PyTypeObject, tp_weaklistoffset);
	SAME(type_size, sizeof(PyTypeObject));
#if PY_MAJOR_VERSION < 3
	OFF(heap_type_qualname, PyHeapTypeObject, ht_name);
#else
	OFF(heap_type_qualname, PyHeapTypeObject, ht_qualname);
	OFF(heap_type_cached_keys, PyHeapTypeObject, ht_cached_keys);
#endif
#if PY_VERSION_HEX < 0x030e0000
	SAME(refcnt_mask, ~0ULL);
#else
	SAME(refcnt_mask, (1ULL << 8 * offsetof(PyObject, ob_flags)) - 1);
#endif
#if PY_VERSION_HEX < 0x030b0000
	SAME(preheader_flags, 0);
	SAME(preheader_bytes, 0);
#else
#if PY_VERSION_HEX < 0x030c0000
	SAME(preheader_flags, Py_TPFLAGS_MANAGED_DICT);
#else
	SAME(preheader_flags, Py_TPFLAGS_PREHEADER);
#endif
	SAME(preheader_bytes, 2 * sizeof(PyObject *));
#endif
}

#if PY_MAJOR_VERSION < 3
static void check_str(const struct py_layout *l)
{
	OFF(str_length, PyStringObject, ob_size);
	OFF(str_ascii_size, PyStringObject, ob_sval);
	NONE(str_state);
	NONE(str_wstr);
}

static void check_containers(const struct py_layout *l)
{
	OFF(dict_keys, PyDictObject, ma_table);
	OFF(dict_mask, PyDictObject, ma_mask);
	OFF(dict_small_table, PyDictObject, ma_smalltable);
	NONE(dict_values);
	NONE(keys_kind);
	OFF(list_items, PyListObject, ob_item);
	OFF(set_mask, PySetObject, mask);
	OFF(set_table, PySetObject, table);
	OFF(set_small_table, PySetObject, smalltable);
	SAME(set_hash_first, offsetof(setentry, hash) < offsetof(setentry, key));
	OFF(bytearray_alloc, PyByteArrayObject, ob_alloc);
	OFF(bytearray_bytes, PyByteArrayObject, ob_bytes);
	SAME(deque_left, sizeof(PyObject));
	SAME(deque_right, sizeof(PyObject) + sizeof(void *));
}
#else
static void check_str(const struct py_layout *l)
{
	OFF(str_length, PyASCIIObject, length);
	OFF(str_state, PyASCIIObject, state);
	SAME(str_ascii_size, sizeof(PyASCIIObject));
	SAME(str_compact_size, sizeof(PyCompactUnicodeObject));
	OFF(str_data, PyUnicodeObject, data);
#if PY_VERSION_HEX < 0x030c0000
	OFF(str_wstr, PyASCIIObject, wstr);
	OFF(str_wstr_length, PyCompactUnicodeObject, wstr_length);
#else
	NONE(str_wstr);
	NONE(str_wstr_length);
#endif
}

#if PY_VERSION_HEX < 0x030b0000
/* Objects/dict-common.h, which is not installed */
typedef struct {
	Py_ssize_t dk_refcnt, dk_size;
	void *dk_lookup;
	Py_ssize_t dk_usable, dk_nentries;
	char dk_indices[];
} keys_copy;
#endif

static void check_containers(const struct py_layout *l)
{
	OFF(dict_keys, PyDictObject, ma_keys);
	OFF(dict_values, PyDictObject, ma_values);
	NONE(dict_mask);
	NONE(dict_small_table);
	SAME(set_hash_first, offsetof(setentry, hash) < offsetof(setentry, key));
#if PY_VERSION_HEX < 0x030b0000
	NONE(keys_kind);
	OFF(keys_size, keys_copy, dk_size);
	OFF(keys_usable, keys_copy, dk_usable);
	OFF(keys_nentries, keys_copy, dk_nentries);
	OFF(keys_indices, keys_copy, dk_indices);
	SAME(values_first, 0);
#else
	OFF(keys_kind, struct _dictkeysobject, dk_kind);
	OFF(keys_size, struct _dictkeysobject, dk_log2_size);
	OFF(keys_usable, struct _dictkeysobject, dk_usable);
	OFF(keys_nentries, struct _dictkeysobject, dk_nentries);
	OFF(keys_indices, struct _dictkeysobject, dk_indices);
	OFF(values_first, struct _dictvalues, values);
#endif
	OFF(list_items, PyListObject, ob_item);
	OFF(set_mask, PySetObject, mask);
	OFF(set_table, PySetObject, table);
	OFF(set_small_table, PySetObject, smalltable);
	OFF(bytearray_alloc, PyByteArrayObject, ob_alloc);
	OFF(bytearray_bytes, PyByteArrayObject, ob_bytes);
	SAME(deque_left, sizeof(PyVarObject));
	SAME(deque_right, sizeof(PyVarObject) + sizeof(void *));
}
#endif

#ifdef Py_DEBUG
static void of_debug_build(struct py_layout *l)
{
	uint32_t *const lists[] = { &l->free_keys_cnt, &l->free_keys, &l->free_dict_cnt, &l->free_dicts, &l->free_list_cnt,
				    &l->free_lists, &l->free_tuples, &l->free_floats };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		*lists[i] += l->debug_free_lists;
	l->runtime_main_interp += l->debug_main_interp;
}
#endif

int main(void)
{
	const struct py_layout *found = py_layout__find_patch(PY_MAJOR_VERSION, PY_MINOR_VERSION, PY_MICRO_VERSION), *l;
	struct py_layout copy;

	if (!found) {
		printf("%s: not in the table\n", PY_VERSION);
		return 1;
	}
	copy = *found;
	l = &copy;
#ifdef Py_DEBUG
	of_debug_build(&copy);
#endif
	check_freelists(l);
	check_runtime(l);
	check_thread(l);
	check_frame(l);
	check_function(l);
	check_code(l);
	check_type(l);
	check_str(l);
	check_containers(l);
#ifdef Py_DEBUG
	printf("debug build of ");
#endif
	printf("%s: %d fields checked, %d wrong\n", PY_VERSION, checked_cnt, wrong_cnt);
	return wrong_cnt != 0;
}
