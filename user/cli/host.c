// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <unistd.h>

#include "host.h"
#include "log.h"
#include "options.h"
#include "procfs.h"

int host__check(void)
{
	int err = procfs__check_namespace();

	if (err == -ENOENT)
		log_error("there is no /proc here: mount one (mount -t proc proc /proc)");
	else if (err)
		log_error("/proc here belongs to another pid namespace, its pids are not ours: mount our own (mount -t proc proc /proc, unshare "
			  "--mount-proc), or run in the host's pid namespace");
	return err ? EXIT_UNSUPPORTED : EXIT_FINE;
}

const char *host__missing(void)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return "/sys/kernel/btf/vmlinux is not there: the kernel needs CONFIG_DEBUG_INFO_BTF=y, and a container needs /sys mounted "
		       "(mount -t sysfs sysfs /sys)";
	return NULL;
}
