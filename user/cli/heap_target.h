/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process whose heap is to be read: one that lives, or that a core file holds. */
#ifndef HEAP_TARGET_H
#define HEAP_TARGET_H

#include <stdbool.h>

#include "process.h"
#include "python.h"

struct heap_target {
	struct process proc;
	struct core_file *core; /* owned; NULL: it lives */
	const char *core_path;  /* borrowed */
	struct py_interp py;
	bool open;              /* PY is */
	struct proc_status status; /* when it was opened */
};

/* CORE_PATH NULL: the process PID. What is wrong is said here, once. An enum exit_code; in any case to be closed. */
int heap_target__open(struct heap_target *t, pid_t pid, const char *core_path);
void heap_target__close(struct heap_target *t);

/* Is it the same process as when it was opened, with the same interpreter? 0 or -ESRCH. */
int heap_target__check(struct heap_target *t);

/* What the error of a reading means: said here, once. An enum exit_code. */
int heap_target__fail(const struct heap_target *t, int err);

/* Can processes be read by their numbers at all? Said here where not. An enum exit_code. */
int heap_target__check_namespace(void);

#endif
