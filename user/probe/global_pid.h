/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The number by which BPF programs know a process (bpf_get_current_pid_tgid): that of the initial pid namespace. It differs
 * from ours when we run in a container that has a pid namespace of its own.
 */
#ifndef GLOBAL_PID_H
#define GLOBAL_PID_H

#include <sys/types.h>

/* -ESRCH: no such process. -EOPNOTSUPP: another namespace, and a kernel (before 5.8) that cannot translate. -errno. */
int global_pid__of(pid_t pid, pid_t *out);

#endif
