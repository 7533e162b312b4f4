/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes of the host that may just have become a Python. The only user file that knows the skeleton is watch.c. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct watch; /* opaque */

/* 0 or -errno. */
int watch__open(struct watch **out);
void watch__free(struct watch *w);
/* false: only execs are told. */
bool watch__sees_libraries(const struct watch *w);
int watch__epoll_fd(const struct watch *w);
/* Calls FN for each event that waits. */
int watch__consume(struct watch *w, void (*fn)(void *ctx, pid_t pid), void *ctx);
/* How many events there was no room for, so far. Complete when asked after watch__consume(): then there is room again. */
uint64_t watch__dropped(const struct watch *w);

#endif
