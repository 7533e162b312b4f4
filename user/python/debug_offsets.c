// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "runtime.h"

/* _Py_DebugOffsets of 3.13's pycore_runtime.h: all fields are words. */
enum word {
	WORD_COOKIE = 0,
	WORD_VERSION = 1,
	WORD_FREE_THREADED = 2,
	WORD_INTERP_HEAD = 5,
	WORD_INTERP_ID = 7,
	WORD_INTERP_NEXT = 8,
	WORD_INTERP_TSTATE_HEAD = 9,
	WORD_INTERP_GC = 10,
	WORD_INTERP_GIL = 14,
	WORD_TSTATE_PREV = 20,
	WORD_TSTATE_NEXT = 21,
	WORD_TSTATE_INTERP = 22,
	WORD_TSTATE_FRAME = 23,
	WORD_TSTATE_THREAD_ID = 24,
	WORD_FRAME_BACK = 29,
	WORD_FRAME_CODE = 30,
	WORD_FRAME_LASTI = 31,
	WORD_FRAME_OWNER = 33,
	WORD_CODE_FILENAME = 35,
	WORD_CODE_QUALNAME = 37,
	WORD_CODE_LINE_TABLE = 38,
	WORD_CODE_FIRST_LINE = 39,
	WORD_CODE_INSTR = 43,
	WORD_TYPE_SIZE = 46,
	WORD_TYPE_NAME = 47,
	WORD_TYPE_FLAGS = 49,
	WORD_LIST_ITEMS = 54,
	WORD_DICT_KEYS = 57,
	WORD_DICT_VALUES = 58,
	WORD_CNT = 59,
};

struct expectation {
	enum word word;
	uint32_t off;
	const char *name;
};

static int compare(const struct py_interp *py, const uint64_t *words, const struct reason *why)
{
	const struct py_layout *l = py->layout;
	const struct expectation all[] = {
		{ WORD_INTERP_HEAD, l->runtime_interp_head, "_PyRuntime.interpreters.head" },
		{ WORD_INTERP_ID, l->interp_id, "PyInterpreterState.id" },
		{ WORD_INTERP_NEXT, l->interp_next, "PyInterpreterState.next" },
		{ WORD_INTERP_TSTATE_HEAD, l->interp_tstate_head, "PyInterpreterState.threads.head" },
		{ WORD_INTERP_GC, l->interp_gc, "PyInterpreterState.gc" },
		{ WORD_INTERP_GIL, l->interp_gil, "PyInterpreterState.ceval.gil" },
		{ WORD_TSTATE_PREV, l->tstate_prev, "PyThreadState.prev" },
		{ WORD_TSTATE_NEXT, l->tstate_next, "PyThreadState.next" },
		{ WORD_TSTATE_INTERP, l->tstate_interp, "PyThreadState.interp" },
		{ WORD_TSTATE_FRAME, l->tstate_frame, "PyThreadState.current_frame" },
		{ WORD_TSTATE_THREAD_ID, l->tstate_thread_id, "PyThreadState.thread_id" },
		{ WORD_FRAME_BACK, l->frame_back, "_PyInterpreterFrame.previous" },
		{ WORD_FRAME_CODE, l->frame_code, "_PyInterpreterFrame.f_executable" },
		{ WORD_FRAME_LASTI, l->frame_lasti, "_PyInterpreterFrame.instr_ptr" },
		{ WORD_FRAME_OWNER, l->frame_owner, "_PyInterpreterFrame.owner" },
		{ WORD_CODE_FILENAME, l->code_filename, "PyCodeObject.co_filename" },
		{ WORD_CODE_QUALNAME, l->code_name, "PyCodeObject.co_qualname" },
		{ WORD_CODE_LINE_TABLE, l->code_line_table, "PyCodeObject.co_linetable" },
		{ WORD_CODE_FIRST_LINE, l->code_first_line, "PyCodeObject.co_firstlineno" },
		{ WORD_CODE_INSTR, l->code_instr, "PyCodeObject.co_code_adaptive" },
		{ WORD_TYPE_SIZE, l->type_size, "sizeof(PyTypeObject)" },
		{ WORD_TYPE_NAME, l->type_name, "PyTypeObject.tp_name" },
		{ WORD_TYPE_FLAGS, l->type_flags, "PyTypeObject.tp_flags" },
		{ WORD_LIST_ITEMS, l->list_items, "PyListObject.ob_item" },
		{ WORD_DICT_KEYS, l->dict_keys, "PyDictObject.ma_keys" },
		{ WORD_DICT_VALUES, l->dict_values, "PyDictObject.ma_values" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (words[all[i].word] != all[i].off)
			return reason__set(why, -EOPNOTSUPP,
					   "this build of Python %s keeps %s at %llu, not at %u: it was changed or is unusual",
					   py->version, all[i].name, (unsigned long long)words[all[i].word], all[i].off);
	return 0;
}

int debug_offsets__check(const struct py_interp *py, const struct reason *why)
{
	uint64_t words[WORD_CNT];
	int err;

	if (py->major == 3 && py->minor < 13)
		return 0;
	err = remote__read(&py->mem, py->runtime_addr, words, sizeof(words));
	if (err)
		return reason__set(why, err, "cannot read _PyRuntime of process %d: %s", py->pid, strerror(-err));
	if (memcmp(&words[WORD_COOKIE], "xdebugpy", 8) != 0)
		return reason__set(why, -EOPNOTSUPP, "the Python %s in process %d has no debug offsets", py->version, py->pid);
	if (words[WORD_FREE_THREADED])
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is a free-threaded build: not supported yet",
				   py->version, py->pid);
	return compare(py, words, why);
}
