// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "procfs.h"
#include "redirect.h"
#include "remote.h"

struct redirect {
	pid_t pid, guardian;
	uint64_t start_ticks;
	int pipe_fd; /* closing it without a byte, as death does, wakes the guardian */
	size_t cnt;
	struct redirect_word words[];
};

static int write_word(pid_t pid, uint64_t addr, uint64_t value)
{
	struct iovec local = { &value, sizeof(value) }, there = { (void *)addr, sizeof(value) };

	return process_vm_writev(pid, &local, 1, &there, 1, 0) == sizeof(value) ? 0 : -errno;
}

static int swap_word(pid_t pid, uint64_t addr, uint64_t from, uint64_t to)
{
	struct remote mem = remote__process(pid);
	uint64_t now;
	int err;

	err = remote__read_u64(&mem, addr, &now);
	if (err)
		return err;
	if (now == to)
		return 0;
	if (now != from)
		return -EBUSY;
	return write_word(pid, addr, to);
}

static void restore(const struct redirect *r, pid_t pid, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		swap_word(pid, r->words[i].addr, r->words[i].alias, r->words[i].original);
}

static pid_t parent_of(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd, ppid;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p && sscanf(p + 1, " %*c %d", &ppid) == 1 ? ppid : -1;
}

/* A fork copies the words with the rest of the memory. */
static void restore_children(const struct redirect *r, pid_t parent, int depth)
{
	DIR *dir = depth < 8 ? opendir("/proc") : NULL;
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		pid_t pid = atoi(e->d_name);

		if (pid <= 0 || parent_of(pid) != parent)
			continue;
		restore(r, pid, r->cnt);
		restore_children(r, pid, depth + 1);
	}
	closedir(dir);
}

static void restore_all(const struct redirect *r)
{
	struct proc_status st;

	if (procfs__status(r->pid, &st) || st.start_ticks != r->start_ticks)
		return;
	restore(r, r->pid, r->cnt);
	restore_children(r, r->pid, 0);
}

static void guard(const struct redirect *r, int fd)
{
	char byte;
	ssize_t n;

	setsid(); /* a signal to the tracer's group must not take its guardian along */
	prctl(PR_SET_NAME, "pyleak-guard");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* Nothing of the tracer's may stay open through us, its probes least of all. */
	for (int i = 0; i < 1024; i++)
		if (i != fd)
			close(i);
	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		restore_all(r);
	_exit(0);
}

static int start_guardian(struct redirect *r)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	r->guardian = fork();
	if (r->guardian < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	if (!r->guardian) {
		close(fds[1]);
		guard(r, fds[0]);
	}
	close(fds[0]);
	r->pipe_fd = fds[1];
	return 0;
}

static void stop_guardian(struct redirect *r)
{
	ssize_t n;

	if (r->guardian <= 0)
		return;
	n = write(r->pipe_fd, "q", 1);
	(void)n;
	close(r->pipe_fd);
	while (waitpid(r->guardian, NULL, 0) < 0 && errno == EINTR)
		;
}

int redirect__apply(pid_t pid, uint64_t start_ticks, const struct redirect_word *words, size_t cnt, struct redirect **out)
{
	struct redirect *r = calloc(1, sizeof(*r) + cnt * sizeof(*words));
	size_t i;
	int err;

	if (!r)
		return -ENOMEM;
	r->pid = pid;
	r->start_ticks = start_ticks;
	r->cnt = cnt;
	memcpy(r->words, words, cnt * sizeof(*words));
	err = start_guardian(r);
	if (err) {
		free(r);
		return err;
	}
	for (i = 0; i < cnt; i++) {
		err = swap_word(pid, words[i].addr, words[i].original, words[i].alias);
		if (err) {
			restore(r, pid, i);
			stop_guardian(r);
			free(r);
			return err;
		}
	}
	*out = r;
	return 0;
}

void redirect__hold(const struct redirect *r)
{
	for (size_t i = 0; r && i < r->cnt; i++)
		swap_word(r->pid, r->words[i].addr, r->words[i].original, r->words[i].alias);
}

void redirect__undo(struct redirect *r)
{
	if (!r)
		return;
	restore_all(r);
	stop_guardian(r);
	free(r);
}
