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

static int choose_layout(struct py_interp *py, const struct reason *why)
{
	if (py->free_threaded)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is a free-threaded build: not supported yet",
				   py->version, py->pid);
	if (py->debug)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is a debug build: not supported", py->version,
				   py->pid);
	py->layout = py_layout__find(py->major, py->minor);
	if (!py->layout)
		return reason__set(why, -EOPNOTSUPP, "Python %s in process %d is not supported; supported: CPython %s",
				   py->version, py->pid, PY_VERSIONS_SUPPORTED);
	return 0;
}

static int find_types(struct py_interp *py, const struct reason *why)
{
	py->types = (struct py_types){
		.type = module__symbol(py, "PyType_Type"),
		.code = module__symbol(py, "PyCode_Type"),
		.str = module__symbol(py, "PyUnicode_Type"),
		.dict = module__symbol(py, "PyDict_Type"),
		.list = module__symbol(py, "PyList_Type"),
		.set = module__symbol(py, "PySet_Type"),
		.frozenset = module__symbol(py, "PyFrozenSet_Type"),
		.bytearray = module__symbol(py, "PyByteArray_Type"),
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

static int open_once(struct py_interp *py, pid_t pid, bool early, char *why_text, size_t why_size)
{
	const struct reason why = { why_text, why_size };
	struct proc_maps maps;
	int err;

	*py = (struct py_interp){ .pid = pid, .mem = remote__process(pid) };
	err = procfs__maps(pid, &maps);
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
static int open_interp(struct py_interp *py, pid_t pid, bool early, char *why, size_t why_size)
{
	const struct timespec pause = { .tv_nsec = 3000000 };
	int err = open_once(py, pid, early, why, why_size);

	for (int i = 0; i < 2 && err == -EOPNOTSUPP; i++) {
		nanosleep(&pause, NULL);
		err = open_once(py, pid, early, why, why_size);
	}
	return err;
}

int py_interp__open(struct py_interp *py, pid_t pid, char *why, size_t why_size)
{
	return open_interp(py, pid, false, why, why_size);
}

int py_interp__open_early(struct py_interp *py, pid_t pid, char *why, size_t why_size)
{
	return open_interp(py, pid, true, why, why_size);
}

void py_interp__close(struct py_interp *py)
{
	elf_file__close(py->elf);
	py->elf = NULL;
}

void py_interp__walk_layout(const struct py_interp *py, struct walk_layout *out)
{
	py_layout__walk(py->layout, out);
}

void py_interp__freelists(const struct py_interp *py, struct py_freelists *out)
{
	const struct py_layout *l = py->layout;

	*out = (struct py_freelists){
		.known = l->free_dicts != NO_OFF,
		.keys_cnt = l->free_keys_cnt, .keys = l->free_keys,
		.dict_cnt = l->free_dict_cnt, .dicts = l->free_dicts, .list_cnt = l->free_list_cnt, .lists = l->free_lists,
		.tuples = l->free_tuples, .floats = l->free_floats,
	};
}

int py_interp__gc_stats(const struct py_interp *py, struct py_gc_stats *out)
{
	struct {
		int64_t collections, collected, uncollectable;
	} stats[3];
	int err;

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
