/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where CPython keeps what: one table of byte offsets per minor version, for x86-64 builds with the
 * GIL. Taken from each version's headers and re-checked against them by tests/unit/python/check_layouts.sh.
 * To add a version: add a row, and let check_layouts.sh name what is wrong in it.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "walk_layout.h"

#define NO_OFF 0xffffffffu /* this version has no such field */

enum line_format {
	LINES_UNSIGNED,  /* co_lnotab, 2.7: lines only go up */
	LINES_LNOTAB,    /* co_lnotab, 3.6-3.9 */
	LINES_RANGES,    /* co_linetable, 3.10: PEP 626 */
	LINES_LOCATIONS, /* co_linetable, 3.11+ */
};

struct py_layout {
	int major, minor;
	int patch_below; /* for patch versions below this one; 0: for all that have no row of their own */

	/* _PyRuntimeState: Include/internal/pycore_runtime.h (3.8: pycore_pystate.h, 3.7: pystate.h); before 3.7 there is none */
	uint32_t runtime_interp_head, runtime_interp_main;
	uint32_t runtime_finalizing;     /* .finalizing, ._finalizing since 3.9 */
	uint32_t runtime_main_interp;    /* ._main_interpreter, the main interpreter itself, 3.12+; 3.13+ tells where */
	uint32_t runtime_tstate_current; /* .gilstate.tstate_current, to 3.11 */
	uint32_t runtime_gc;             /* 3.7, 3.8 */
	/* By how much later debug builds (Py_DEBUG) have .runtime_main_interp, and all of the free lists below. */
	uint32_t debug_main_interp, debug_free_lists;

	/* PyInterpreterState: pycore_interp.h (3.8: cpython/pystate.h) */
	uint32_t interp_next, interp_id, interp_tstate_head;
	uint32_t interp_gc;  /* 3.9+ */
	uint32_t interp_gil; /* pointer to struct _gil_runtime_state, 3.12+ */
	uint32_t interp_size; /* sizeof, 3.12; 3.13+ tells */
	uint32_t interp_modules; /* sys.modules: .modules, .imports.modules since 3.12 */

	/*
	 * Free lists, from PyInterpreterState on (to 3.9 they are static, NO_OFF): an array with a count for dicts, their keys and lists, heads of
	 * chains for tuples (by length) and floats.
	 */
	uint32_t free_keys_cnt, free_keys; /* small tables of dict keys */
	uint32_t free_dict_cnt, free_dicts, free_list_cnt, free_lists, free_tuples, free_floats;
	uint32_t free_ints, free_tuples_step; /* 3.14: all are chains (pycore_freelist_state.h), and ints have one */

	/* struct _gc_runtime_state: pycore_gc.h (3.8: pycore_pymem.h) */
	uint32_t gc_generations, gc_generation0, gc_stats;
	uint32_t gc_generations_packed; /* where 3.13's patch versions have .generations since they lowered the alignment of PyGC_Head */
#define GC_ENABLED_OFF 12 /* of .enabled, 3.7 to 3.14 */
	uint32_t gc_head; /* sizeof(PyGC_Head): objimpl.h */
	/* struct _gil_runtime_state: pycore_gil.h */
	uint32_t gil_last_holder;

	/* PyThreadState: cpython/pystate.h */
	uint32_t tstate_prev, tstate_next, tstate_interp, tstate_thread_id;
	uint32_t tstate_frame; /* .frame, .cframe or .current_frame */
	uint32_t cframe_current;

	/* PyFrameObject to 3.10, _PyInterpreterFrame from 3.11 */
	uint32_t frame_code, frame_back, frame_lasti, frame_owner, frame_owner_cstack;
	enum lasti_kind lasti_kind;
	uint64_t frame_code_mask; /* f_executable is a tagged _PyStackRef since 3.14: pycore_stackref.h */

	/*
	 * To 3.9 .f_stacktop, NULL in a frame that runs; 3.10 int .f_stackdepth; 3.11-3.13 int .stacktop, counted from the locals on: -1 in a frame
	 * that runs; 3.14 .stackpointer
	 */
	uint32_t frame_stack_top;
	uint32_t frame_locals; /* .f_localsplus, .localsplus: locals, cells and free variables, then the evaluation stack */

	/* PyFunctionObject: funcobject.h, cpython/funcobject.h. What has a name in tp_members is not here. */
	uint32_t function_code, function_defaults, function_kwdefaults, function_closure, function_annotations;

	/* PyCodeObject: code.h, cpython/code.h */
	uint32_t code_size; /* how much of it to read: all fields below are inside */
	uint32_t code_filename, code_name, code_first_line, code_line_table;
	enum line_format line_format;
	uint32_t bytes_data; /* PyBytesObject.ob_sval, PyStringObject.ob_sval in 2.7: bytesobject.h, stringobject.h */
	uint32_t code_first_traceable; /* ._co_firsttraceable, 3.11+ */
	uint32_t code_instr; /* .co_code_adaptive, 3.11+ */
	uint32_t code_bytecode; /* .co_code, to 3.10 */
	uint32_t code_varnames, code_freevars, code_cellvars; /* tuples of names, to 3.10 */
	uint32_t code_stack_size; /* int .co_stacksize */
	uint32_t code_localsplus_names; /* .co_localsplusnames, 3.11+ */

	/* PyTypeObject, PyHeapTypeObject: cpython/object.h */
	uint32_t type_name, type_basicsize, type_itemsize, type_dealloc, type_flags, type_base, type_dict, type_alloc;
	uint32_t type_members, type_dictoffset, type_weaklistoffset;
	uint32_t type_size; /* sizeof(PyTypeObject) */
	uint32_t heap_type_qualname, heap_type_cached_keys; /* 2.7: .ht_name */
	uint64_t refcnt_mask; /* what of the first word is the count: since 3.14 the upper 16 bits are flags */
	uint32_t preheader_bytes;
	uint64_t preheader_flags;

	/*
	 * PyASCIIObject and the larger ones: cpython/unicodeobject.h. 2.7, where names are PyStringObjects: .ob_size and .ob_sval as
	 * length and ASCII size, no state.
	 */
	uint32_t str_length, str_state, str_wstr, str_ascii_size, str_compact_size, str_wstr_length, str_data;

	/*
	 * PyDictObject, and PyDictKeysObject: Objects/dict-common.h, pycore_dict.h from 3.11. 2.7: .ma_table as keys, no values, no keys
	 * object; the table may be the small one inside.
	 */
	uint32_t dict_keys, dict_values;
	uint32_t dict_mask, dict_small_table; /* 2.7 */
	uint32_t keys_kind; /* .dk_kind; without it all tables are of the general kind (to 3.10) */
	uint32_t keys_size; /* .dk_size, or the byte .dk_log2_size */
	uint32_t keys_usable, keys_nentries, keys_indices;
	uint32_t values_first; /* 3.13+: PyDictValues begins with its capacity, size and embedded flag */

	/* PyListObject, PySetObject, PyByteArrayObject; dequeobject of Modules/_collectionsmodule.c */
	uint32_t list_items;
	uint32_t set_mask, set_table, set_small_table;
	uint32_t bytearray_alloc, bytearray_bytes;
	uint32_t deque_left, deque_right;
	uint32_t deque_len; /* BLOCKLEN */
	uint32_t deque_left_link, deque_right_link; /* of a block */
	bool set_hash_first; /* setentry: 2.7 {hash, key}, later {key, hash} */
};

/* Words in front of an instance, counted down from its PyObject header: pycore_object.h. */
enum managed_kind {
	MANAGED_NONE,
	MANAGED_VALUES_WORD,  /* 3.11: values at -32, dict at -24 */
	MANAGED_TAGGED_WORD,  /* 3.12: at -24 the dict, or the address of the values - 1 */
	MANAGED_INLINE,       /* 3.13+: at -24 the dict; values are part of the object */
};
enum managed_kind py_layout__managed(const struct py_layout *l);

/* NULL: not known. The second one: of the newest patch version. */
const struct py_layout *py_layout__find_patch(int major, int minor, int patch);
const struct py_layout *py_layout__find(int major, int minor);

void py_layout__walk(const struct py_layout *l, struct walk_layout *out);

#endif
