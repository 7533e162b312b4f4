/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The border between bpf/watch.bpf.c and user space. */
#ifndef PYLEAK_WATCH_EVENT_H
#define PYLEAK_WATCH_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct watch_event {
	__u32 tgid;
};

#endif
