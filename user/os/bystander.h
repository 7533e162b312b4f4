/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process of ours that stands by to undo something should we be killed: nothing of ours stays open through it, no signal to our group reaches it, and
 * its end of the socket tells it that we are gone.
 */
#ifndef BYSTANDER_H
#define BYSTANDER_H

#include <sys/types.h>

struct bystander {
	pid_t pid; /* 0: it does not run */
	int fd;    /* of a SOCK_SEQPACKET pair; -1 */
};

/* RUN gets the other end of FD, and what returns from it ends the process. NAME: as ps shows it, 15 characters. 0 or -errno. */
int bystander__start(struct bystander *b, const char *name, void (*run)(int fd));
/* It is gone when this returns. One that does not run is fine. */
void bystander__stop(struct bystander *b);

#endif
