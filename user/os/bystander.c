// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bystander.h"
#include "fds.h"

static void stand_by(const char *name, void (*run)(int fd), int fd)
{
	const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

	setsid();
	prctl(PR_SET_NAME, name);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	fds__close_all_but(fd);
	run(fd);
	_exit(0);
}

int bystander__start(struct bystander *b, const char *name, void (*run)(int fd))
{
	int pair[2], err;
	pid_t pid;

	*b = (struct bystander){ .fd = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	if (!pid)
		stand_by(name, run, pair[1]);
	close(pair[1]);
	*b = (struct bystander){ pid, pair[0] };
	return 0;
}

void bystander__stop(struct bystander *b)
{
	if (!b->pid)
		return;
	close(b->fd);
	while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*b = (struct bystander){ .fd = -1 };
}
