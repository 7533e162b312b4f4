/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of the files mapped by a process is the interpreter. */
#ifndef MODULE_H
#define MODULE_H

#include "procfs.h"
#include "python.h"
#include "reason.h"

/*
 * Fills module_path, open_path, elf, bias, shared, module_start and module_end of PY. The executable is asked first, then
 * files that are called something with python, then all others. -ENOEXEC: none is a CPython; -EAGAIN: the executable needs a libpython that is not mapped yet.
 */
int module__find(struct py_interp *py, const struct proc_maps *maps, const struct reason *why);
/* Does this file contain a CPython with a _PyRuntime (3.7+)? */
bool module__is_cpython(const struct elf_file *elf);
/* Runtime address of an exported or local symbol; 0: there is none. */
uint64_t module__symbol(const struct py_interp *py, const char *name);
/*
 * Runtime address of the static variable that an exported function of one statement returns ("mov VARIABLE(%rip),%rax; ret"), so that
 * a stripped file tells it, too. 0: the function is something else.
 */
uint64_t module__returned_variable(const struct py_interp *py, const char *function);

#endif
