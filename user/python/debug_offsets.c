// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "layout.h"
#include "runtime.h"

/* _Py_DebugOffsets: all fields are words. The first ones are the same everywhere. */
enum {
	WORD_COOKIE = 0,
	WORD_FREE_THREADED = 2,
	WORD_RUNTIME_SIZE = 3,
	WORD_INTERP_SIZE = 6,
	WORD_CNT = 83,
	INTERP_ALIGN_MAX = 256, /* what is allocated may be that much larger, so that it can be aligned */
};

struct expectation {
	uint8_t word_313, word_314; /* 3.13: pycore_runtime.h; 3.14: pycore_debug_offsets.h */
	uint32_t off;
	const char *name;
};

static int compare(const struct py_interp *py, const uint64_t *words, const struct reason *why)
{
	const struct py_layout *l = py->layout;
	const struct expectation all[] = {
		{ 5, 5, l->runtime_interp_head, "_PyRuntime.interpreters.head" },
		{ 7, 7, l->interp_id, "PyInterpreterState.id" },
		{ 8, 8, l->interp_next, "PyInterpreterState.next" },
		{ 9, 9, l->interp_tstate_head, "PyInterpreterState.threads.head" },
		{ 10, 11, l->interp_gc, "PyInterpreterState.gc" },
		{ 11, 12, l->interp_modules, "PyInterpreterState.imports.modules" },
		{ 14, 15, l->interp_gil, "PyInterpreterState.ceval.gil" },
		{ 20, 23, l->tstate_prev, "PyThreadState.prev" },
		{ 21, 24, l->tstate_next, "PyThreadState.next" },
		{ 22, 25, l->tstate_interp, "PyThreadState.interp" },
		{ 23, 26, l->tstate_frame, "PyThreadState.current_frame" },
		{ 24, 27, l->tstate_thread_id, "PyThreadState.thread_id" },
		{ 29, 32, l->frame_back, "_PyInterpreterFrame.previous" },
		{ 30, 33, l->frame_code, "_PyInterpreterFrame.f_executable" },
		{ 31, 34, l->frame_lasti, "_PyInterpreterFrame.instr_ptr" },
		{ 33, 36, l->frame_owner, "_PyInterpreterFrame.owner" },
		{ 35, 40, l->code_filename, "PyCodeObject.co_filename" },
		{ 37, 42, l->code_name, "PyCodeObject.co_qualname" },
		{ 38, 43, l->code_line_table, "PyCodeObject.co_linetable" },
		{ 39, 44, l->code_first_line, "PyCodeObject.co_firstlineno" },
		{ 43, 48, l->code_instr, "PyCodeObject.co_code_adaptive" },
		{ 46, 52, l->type_size, "sizeof(PyTypeObject)" },
		{ 47, 53, l->type_name, "PyTypeObject.tp_name" },
		{ 49, 55, l->type_flags, "PyTypeObject.tp_flags" },
		{ 54, 60, l->list_items, "PyListObject.ob_item" },
		{ 57, 67, l->dict_keys, "PyDictObject.ma_keys" },
		{ 58, 68, l->dict_values, "PyDictObject.ma_values" },
		/* .collecting, which follows three statistics of three words */
		{ 72, 82, l->gc_stats + 72, "PyInterpreterState.gc.generation_stats" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint64_t theirs = words[py->minor == 13 ? all[i].word_313 : all[i].word_314];

		if (theirs != all[i].off)
			return reason__set(why, -EOPNOTSUPP,
					   "this build of Python %s keeps %s at %llu, not at %u: it was changed or is unusual",
					   py->version, all[i].name, (unsigned long long)theirs, all[i].off);
	}
	return 0;
}

int debug_offsets__check(struct py_interp *py, const struct reason *why)
{
	uint64_t words[WORD_CNT];
	int err;

	if (py->major < 3 || py->minor < 13)
		return 0;
	err = remote__read(&py->mem, py->runtime_addr, words, sizeof(words));
	if (err)
		return reason__set(why, err, "cannot read _PyRuntime of process %d: %s", py->pid, strerror(-err));
	if (memcmp(&words[WORD_COOKIE], "xdebugpy", 8) != 0)
		return reason__set(why, -EOPNOTSUPP, "the Python %s in process %d has no debug offsets", py->version, py->pid);
	if (words[WORD_FREE_THREADED])
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is a free-threaded build: not supported yet",
				   py->version, py->pid);
	/* _main_interpreter is the last field. */
	if (words[WORD_INTERP_SIZE] < words[WORD_RUNTIME_SIZE] && words[WORD_RUNTIME_SIZE] < 1UL << 30)
		py->gil_ptr_addr = py->runtime_addr + words[WORD_RUNTIME_SIZE] - words[WORD_INTERP_SIZE] + py->layout->interp_gil;
	py->interp_bytes_min = words[WORD_INTERP_SIZE];
	py->interp_bytes_max = words[WORD_INTERP_SIZE] + INTERP_ALIGN_MAX;
	return compare(py, words, why);
}
