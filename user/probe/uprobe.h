/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attaching BPF programs to user code. One multi-uprobe link takes any number of places at once (kernel 6.6, commit
 * 89ae89f53d20); before that, one perf event a place. libbpf 1.1 has no wrapper for the former.
 */
#ifndef UPROBE_H
#define UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UPROBE_MULTI_ATTACH_TYPE 48 /* BPF_TRACE_UPROBE_MULTI */

/* A program that does nothing; its descriptor or -errno. */
int uprobe__empty_program(bool multi);

/* Tries it with a tiny program and an impossible path. */
bool uprobe__have_multi(void);

struct uprobe_target {
	const char *path; /* of the file, as seen from here */
	pid_t pid;        /* 0: all */
	bool multi;       /* programs were loaded with UPROBE_MULTI_ATTACH_TYPE */
};

struct uprobe_links {
	int *ids; /* the keeper's numbers (keeper.h); descriptors of this process where none runs */
	size_t cnt;
	size_t places; /* where there is a breakpoint; of a place with two links, entry and return, one counts */
	bool kept;
};

/*
 * Attaches PROG_FD at CNT file offsets; at returns of the functions entered there if RETURNS. REF_CTR_OFFS: file offsets of USDT
 * semaphores or NULL. Links are appended to LINKS and last until uprobe_links__close.
 */
int uprobe__attach(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *ref_ctr_offs, size_t cnt,
		   bool returns, struct uprobe_links *links);
/* The same at entries, each with a cookie for bpf_get_attach_cookie(). -EOPNOTSUPP without multi links. */
int uprobe__attach_cookies(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *cookies, size_t cnt,
			   struct uprobe_links *links);
/* Hands FROM's links over to TO. 0 or -ENOMEM. */
int uprobe_links__move(struct uprobe_links *to, struct uprobe_links *from);
/* Only the I-th, without its places: how many it has is not known. */
int uprobe_links__move_one(struct uprobe_links *to, struct uprobe_links *from, size_t i);
void uprobe_links__close(struct uprobe_links *links);

#endif
