// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "global_pid.h"
#include "procfs.h"

#include "pids.skel.h"

static int walk_all(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char none[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, none, sizeof(none)); /* the program writes nothing: the read is what runs it */
	} while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	close(fd);
	return n < 0 ? -errno : 0;
}

static int translate(pid_t pid, pid_t *out)
{
	struct bpf_link *link = NULL;
	struct pids_bpf *skel = pids_bpf__open();
	int err;

	if (!skel)
		return -errno;
	skel->bss->wanted = pid;
	err = pids_bpf__load(skel) ? -EOPNOTSUPP : 0;
	if (err)
		goto out;
	link = bpf_program__attach(skel->progs.find_pid);
	err = link ? walk_all(link) : -EOPNOTSUPP;
	if (err)
		goto out;
	*out = skel->bss->found;
	err = *out ? 0 : -ESRCH;
out:
	bpf_link__destroy(link);
	pids_bpf__destroy(skel);
	return err;
}

int global_pid__of(pid_t pid, pid_t *out)
{
	*out = pid;
	return procfs__in_initial_pid_namespace() ? 0 : translate(pid, out);
}
