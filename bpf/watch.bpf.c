// SPDX-License-Identifier: GPL-2.0-only
/* Tells of processes that may have become a Python: by exec, or by mapping a libpython. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "watch_event.h"

char LICENSE[] SEC("license") = "GPL";

/* An event takes 8 bytes and 8 of head: 16,000 execs between two looks. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} events SEC(".maps");

__u64 dropped; /* events for which there was no room: user space must look around */

static __always_inline int tell(void)
{
	struct watch_event *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	ev->tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int watch_exec(void *ctx __attribute__((unused)))
{
	return tell();
}

static __always_inline int file_mapped(struct file *file, unsigned long prot)
{
	const char lib[] = "libpython";
	char name[sizeof(lib)] = {};
	unsigned int i;

	if (!file || !(prot & PROT_EXEC))
		return 0;
	bpf_probe_read_kernel(name, sizeof(name) - 1, BPF_CORE_READ(file, f_path.dentry, d_name.name));
	for (i = 0; i < sizeof(lib) - 1; i++)
		if (name[i] != lib[i])
			return 0;
	return tell();
}

/* security_mmap_file(file, prot, flags): every mapping of a file passes here, and it is not inlined. Either of these two is loaded. */
SEC("fentry/security_mmap_file")
int watch_mmap_fentry(unsigned long long *ctx)
{
	return file_mapped((void *)ctx[0], ctx[1]);
}

SEC("kprobe/security_mmap_file")
int watch_mmap_kprobe(struct pt_regs *ctx)
{
	return file_mapped((void *)ctx->di, ctx->si);
}
