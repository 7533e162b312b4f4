// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "options.h"
#include "table.h"
#include "text.h"

extern char **environ;

struct table_opts output__table_opts(bool verbose)
{
	struct table_opts opts = { .verbose = verbose };
	struct winsize ws;

	if (isatty(STDOUT_FILENO))
		opts.width = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_col ? ws.ws_col : 80;
	opts.color = opts.width && !getenv("NO_COLOR");
	return opts;
}

int output__write(struct text *text, const char *what)
{
	bool failed = text->failed || fwrite(text->s ? text->s : "", 1, text->len, stdout) != text->len || fflush(stdout);

	text__free(text);
	if (failed)
		log_error("%s could not be written", what);
	return failed ? EXIT_INCOMPLETE : EXIT_FINE;
}

static int write_all(int fd, const char *s, size_t len)
{
	ssize_t n;

	for (; len; s += n, len -= n) {
		n = write(fd, s, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -errno;
	}
	return 0;
}

/* Its own standard output is ours; its input is the pipe whose other end is *FD. */
static int start_dot(pid_t *pid, int *fd)
{
	char *const argv[] = { "dot", "-Tsvg", NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fds[2], err;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	err = posix_spawn_file_actions_init(&actions);
	if (!err) {
		posix_spawn_file_actions_adddup2(&actions, pipe_fds[0], STDIN_FILENO);
		err = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(pipe_fds[0]);
	*fd = pipe_fds[1];
	if (err)
		close(*fd);
	return -err;
}

int output__write_svg(struct text *dot)
{
	int fd = -1, status = 0, err;
	pid_t pid;

	err = dot->failed ? -ENOMEM : start_dot(&pid, &fd);
	if (!err) {
		err = write_all(fd, dot->s, dot->len);
		close(fd);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	text__free(dot);
	if (err == -ENOENT) {
		log_error("--svg needs graphviz's dot: install graphviz, or use --dot and draw it elsewhere");
		return EXIT_UNSUPPORTED;
	}
	if (err || status) {
		log_error("the picture could not be drawn or written%s%s", err ? ": " : "", err ? strerror(-err) : "");
		return EXIT_INCOMPLETE;
	}
	return EXIT_FINE;
}
