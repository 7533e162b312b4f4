/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File descriptors of this process. */
#ifndef FDS_H
#define FDS_H

/* For a forked process that is to hold nothing else of what its parent has open. */
void fds__close_all_but(int fd);

#endif
