// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pid that other programs will see (of the initial namespace) for a pid of the reader's namespace. The kernel lets the
 * iterator walk the reader's namespace only (kernel/bpf/task_iter.c, bpf_iter_init_seq: task_active_pid_ns(current)).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define LEVELS_MAX 32 /* include/linux/pid_namespace.h, MAX_PID_NS_LEVEL */

int wanted;
int found;

SEC("iter/task")
int find_pid(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *reader = (struct task_struct *)bpf_get_current_task();
	struct pid *pid;
	unsigned int level;
	int nr = 0;

	if (!task || task->pid != task->tgid)
		return 0;
	level = BPF_CORE_READ(reader, thread_pid, level);
	if (level > LEVELS_MAX)
		return 0;
	pid = BPF_CORE_READ(task, thread_pid);
	bpf_core_read(&nr, sizeof(nr), (void *)&pid->numbers[0].nr + level * sizeof(struct upid));
	if (nr == wanted)
		found = task->tgid;
	return 0;
}
