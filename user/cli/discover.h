/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the Python processes of the host: those that run already, and those that become one. */
#ifndef DISCOVER_H
#define DISCOVER_H

#include <stdbool.h>
#include <sys/types.h>

struct discover; /* opaque */

struct discover_events {
	void *ctx;
	/* Is the process wanted at all? Asked first, as the rest costs more. */
	bool (*wanted)(void *ctx, pid_t pid);
	/* A Python that is initialised. false: not now, ask again. */
	bool (*found)(void *ctx, pid_t pid);
	/* A Python that cannot be traced; WHY is a sentence. */
	void (*refused)(void *ctx, const char *why);
};

/* 0 or -errno. */
int discover__new(const struct discover_events *events, struct discover **out);
void discover__free(struct discover *d);
/* Ready when discover__run() has something to do. */
int discover__epoll_fd(const struct discover *d);
void discover__run(struct discover *d);
/* All processes that there are now. */
void discover__scan(struct discover *d);

#endif
