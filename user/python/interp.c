// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <time.h>

#include "layout.h"
#include "module.h"
#include "procfs.h"
#include "python.h"
#include "runtime.h"
#include "version.h"
#include "witness.h"

enum { TUPLE_LISTS = 19 }; /* to 3.12 for lengths up to 19, later 20 */

static int choose_layout(struct py_interp *py, const struct reason *why)
{
	if (py->free_threaded)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is a free-threaded build: not supported yet",
				   py->version, py->pid);
	if (py->trace_refs)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d was built with Py_TRACE_REFS, which makes each object longer: not "
				   "supported", py->version, py->pid);
	py->layout = py_layout__find_patch(py->major, py->minor, py->patch);
	if (!py->layout)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is not supported; supported: CPython %s",
				   py->version, py->pid, PY_VERSIONS_SUPPORTED);
	py->gc_head_bytes = py->layout->gc_head;
	return 0;
}

static int find_types(struct py_interp *py, const struct reason *why)
{
	py->types = (struct py_types){
		.type = module__symbol(py, "PyType_Type"),
		.code = module__symbol(py, "PyCode_Type"),
		.str = module__symbol(py, py->major < 3 ? "PyString_Type" : "PyUnicode_Type"),
		.bytes = module__symbol(py, py->major < 3 ? "PyString_Type" : "PyBytes_Type"),
		.function = module__symbol(py, "PyFunction_Type"),
		.dict = module__symbol(py, "PyDict_Type"),
		.list = module__symbol(py, "PyList_Type"),
		.tuple = module__symbol(py, "PyTuple_Type"),
		.set = module__symbol(py, "PySet_Type"),
		.frozenset = module__symbol(py, "PyFrozenSet_Type"),
		.bytearray = module__symbol(py, "PyByteArray_Type"),
		.float_ = module__symbol(py, "PyFloat_Type"),
		.frame = module__symbol(py, "PyFrame_Type"),
	};
	if (!py->types.type || !py->types.code || !py->types.str)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d does not export its types", py->version, py->pid);
	return 0;
}

/* PyObject *_PySet_Dummy points to a static object: setobject.c */
static void find_set_dummy(struct py_interp *py)
{
	uint64_t addr = module__symbol(py, "_PySet_Dummy");

	if (!addr || remote__read_u64(&py->mem, addr, &py->set_dummy_addr))
		py->set_dummy_addr = 0;
}

bool py_interp__check_names(struct py_interp *py)
{
	if (py->names.types == NAMES_UNCHECKED || py->names.codes == NAMES_UNCHECKED)
		witness__ask(py, &py->names);
	return py->names.types != NAMES_UNCHECKED && py->names.codes != NAMES_UNCHECKED;
}

static int open_once(struct py_interp *py, const struct process *proc, bool early, char *why_text, size_t why_size)
{
	const struct reason why = { why_text, why_size };
	const pid_t pid = proc->pid;
	struct proc_maps maps;
	int err;

	*py = (struct py_interp){ .pid = pid, .proc = *proc, .mem = process__remote(proc) };
	err = process__maps(proc, &maps);
	if (err == -ESRCH)
		return reason__set(&why, -ESRCH, "there is no process %d, or it has ended", pid);
	if (err == -EAGAIN)
		return reason__set(&why, -EAGAIN, "process %d is just starting", pid);
	if (err)
		return reason__set(&why, err == -EACCES ? -EPERM : err, "cannot read process %d: %s (run as root with sudo, or with CAP_SYS_PTRACE)", pid,
				   strerror(-err));
	err = module__find(py, &maps, &why);
	if (err)
		goto out;
	err = version__detect(py, &why);
	if (err)
		goto out;
	err = choose_layout(py, &why);
	if (err)
		goto out;
	err = find_types(py, &why);
	if (err)
		goto out;
	find_set_dummy(py);
	err = runtime__find(py, &why);
	if (!err)
		py_interp__check_names(py);
	if (early && err == -EAGAIN)
		err = 0;
out:
	proc_maps__free(&maps);
	if (err)
		py_interp__close(py);
	return err;
}

/*
 * While a process starts, it maps memory after its mappings were read, and clears and refills its runtime: for an instant it looks
 * like something else. What is refused must be refused again some milliseconds later.
 */
static int open_interp(struct py_interp *py, const struct process *proc, bool early, char *why, size_t why_size)
{
	const struct timespec pause = { .tv_nsec = 3000000 };
	int err = open_once(py, proc, early, why, why_size);

	for (int i = 0; i < 2 && err == -EOPNOTSUPP && !process__is_still(proc); i++) {
		nanosleep(&pause, NULL);
		err = open_once(py, proc, early, why, why_size);
	}
	return err;
}

int py_interp__open(struct py_interp *py, pid_t pid, char *why, size_t why_size)
{
	const struct process proc = process__live(pid);

	return open_interp(py, &proc, false, why, why_size);
}

int py_interp__open_in(struct py_interp *py, const struct process *proc, char *why, size_t why_size)
{
	return open_interp(py, proc, false, why, why_size);
}

int py_interp__open_early(struct py_interp *py, pid_t pid, char *why, size_t why_size)
{
	const struct process proc = process__live(pid);

	return open_interp(py, &proc, true, why, why_size);
}

void py_interp__close(struct py_interp *py)
{
	elf_file__close(py->elf);
	py->elf = NULL;
}

void py_interp__walk_layout(const struct py_interp *py, struct walk_layout *out)
{
	py_layout__walk(py->layout, out);
	out->gc_head_bytes = py->gc_head_bytes;
}

/* The dead keep their type. What is being taken out while we look may be something else a moment later. */
static bool is_tuple_or_nothing(const struct py_interp *py, uint64_t head_addr)
{
	uint64_t tuple, type;

	for (int i = 0; i < 3; i++) {
		if (remote__read_u64(&py->mem, head_addr, &tuple))
			return false;
		if (!tuple || (!remote__read_u64(&py->mem, tuple + 8, &type) && type == py->types.tuple))
			return true;
	}
	return false;
}

static bool lists_are_there(const struct py_interp *py)
{
	const struct py_layout *l = py->layout;

	if (l->free_tuples == NO_OFF)
		return false;
	for (int i = 0; i < TUPLE_LISTS && py->interp_addr; i++)
		if (!is_tuple_or_nothing(py, py->interp_addr + l->free_tuples + i * l->free_tuples_step))
			return false;
	return true;
}

void py_interp__freelists(const struct py_interp *py, struct py_freelists *out)
{
	const struct py_layout *l = py->layout;
	uint32_t later = py->debug ? l->debug_free_lists : 0;

	*out = (struct py_freelists){
		.known = lists_are_there(py),
		.keys_cnt = l->free_keys_cnt + later, .keys = l->free_keys + later,
		.dict_cnt = l->free_dict_cnt == NO_OFF ? NO_OFF : l->free_dict_cnt + later, .dicts = l->free_dicts + later,
		.list_cnt = l->free_list_cnt + later, .lists = l->free_lists + later,
		.chains = l->free_dict_cnt == NO_OFF, .tuples = l->free_tuples + later, .tuples_step = l->free_tuples_step,
		.floats = l->free_floats + later, .ints = l->free_ints == NO_OFF ? 0 : l->free_ints + later,
	};
}

int py_interp__gc_stats(const struct py_interp *py, struct py_gc_stats *out)
{
	struct {
		int64_t collections, collected, uncollectable;
	} stats[3];
	int err;

	if (!py->gc_stats_addr)
		return -ENOENT;
	err = remote__read(&py->mem, py->gc_stats_addr, stats, sizeof(stats));
	if (err)
		return err;
	for (int i = 0; i < 3; i++) {
		out->collections[i] = stats[i].collections;
		out->collected[i] = stats[i].collected;
		out->uncollectable[i] = stats[i].uncollectable;
	}
	return 0;
}

enum {
	GC_HEAD_PREV_OFF = 8, /* struct PyGC_Head: next, prev */
};

int py_interp__gc_mode(const struct py_interp *py, struct py_gc_mode *out)
{
	const struct py_layout *l = py->layout;
	int32_t enabled, threshold;
	int err;

	if (!py->gc_stats_addr || !py->gc_lists[3] || l->gc_stats == NO_OFF)
		return -ENOENT;
	err = remote__read(&py->mem, py->gc_stats_addr - l->gc_stats + GC_ENABLED_OFF, &enabled, sizeof(enabled));
	err = err ?: remote__read(&py->mem, py->gc_lists[0] + py->gc_head_bytes, &threshold, sizeof(threshold));
	err = err ?: remote__read_u64(&py->mem, py->gc_lists[3] + GC_HEAD_PREV_OFF, &out->last_frozen);
	out->collects = !err && enabled == 1 && threshold > 0;
	return err;
}
