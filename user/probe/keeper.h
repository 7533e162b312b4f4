/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process of ours that places the probes and takes them away. For a thread that is being killed the kernel does neither: it cannot get
 * the page (fatal_signal_pending() in __get_user_pages(), mm/gup.c), says "unregister, leaking uprobe" (kernel/events/uprobes.c), and the
 * breakpoint stays in the target for good. So who may be killed must not hold them: all links are the keeper's, who closes them
 * when the tracer is gone, whichever way.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KEEPER_PLACES_MAX 512

/* One link: of all places (MULTI) or of one. */
struct keeper_link {
	pid_t pid;    /* 0: all processes */
	bool multi;   /* BPF_TRACE_UPROBE_MULTI */
	bool returns; /* of the functions entered there */
	bool has_refs, has_cookies;
	uint32_t cnt;
	uint64_t offs[KEEPER_PLACES_MAX]; /* in the file */
	uint64_t refs[KEEPER_PLACES_MAX]; /* of USDT semaphores */
	uint64_t cookies[KEEPER_PLACES_MAX];
	char path[4096]; /* not below /proc/self */
};

/* Starts it, if it does not run. 0 or -errno: links will be placed by this process itself. */
int keeper__start(void);
/* Ends it, and with it all links. */
void keeper__stop(void);
bool keeper__runs(void);
/* The number of the link, or -errno. From any thread. */
int keeper__attach(const struct keeper_link *link, int prog_fd);
/* For the next MS milliseconds what is asked for is done without delay: see keeper_warm.h. From any thread. */
void keeper__hurry(uint32_t ms);
/* All at once; returns when their probes are gone. From any thread. */
void keeper__close(const int *numbers, size_t cnt);

/* What the keeper does, in this process: a descriptor or -errno. */
int keeper_link__create(const struct keeper_link *link, int prog_fd);
void keeper_links__close(const int *fds, size_t cnt);

#endif
