/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which container a process is in, by its /proc/PID/cgroup. The names are conventions of the runtimes, not the kernel's; what
 * follows none of them is no container, and who may make cgroups may choose any name. Paths begin with /.. when we are in a cgroup namespace and the process is not.
 */
#ifndef CONTAINER_H
#define CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct container {
	char id[129];     /* what the runtime's own tool calls it: an id in hex, a name with lxc and systemd-nspawn; "": none */
	char runtime[24]; /* "docker", "containerd", "cri-o", "podman", "lxc", "systemd-nspawn", ...; "": not known */
	char pod_uid[65]; /* Kubernetes: metadata.uid of the pod; "": none */
};

/* Bytes of /proc/PID/cgroup, either version; false, and all of OUT empty: no container. Raw: clean before showing. */
bool container__parse(const char *text, size_t len, struct container *out);

/* 0 also when it is in none (then id is ""). -ESRCH: no such process. */
int container__of(pid_t pid, struct container *out);

#endif
