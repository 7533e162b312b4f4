/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File descriptors of this process. */
#ifndef FDS_H
#define FDS_H

#include <stddef.h>
#include <stdint.h>

/* For a forked process that is to hold nothing else of what its parent has open. */
void fds__close_all_but(int fd);

/* All SIZE bytes from OFF on. 0, -ENODATA (the file ends before that), or -EIO and the like. */
int fds__read_at(int fd, uint64_t off, void *out, size_t size);

#endif
