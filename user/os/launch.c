// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

#define MAX_WAITING 64 /* programs between exec and entry at one time */

struct entry {
	pid_t pid;
	uint64_t addr;
	long word;
};

struct launch {
	pthread_t thread;
	char *const *argv;
	volatile pid_t pid;
	int ours, theirs; /* socket pair: events one way, a byte back */
	struct entry entries[MAX_WAITING];
};

static void tell(struct launch *l, enum launch_kind kind, pid_t pid, int status)
{
	const struct launch_event ev = { kind, pid, status };
	ssize_t n = write(l->theirs, &ev, sizeof(ev));

	(void)n;
}

static void child(char *const argv[], int err_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGCONT); /* should we die while it is stopped for its last report */
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	execvp(argv[0], argv);
	{
		int err = errno;
		ssize_t n = write(err_fd, &err, sizeof(err));

		(void)n;
	}
	_exit(127);
}

static uint64_t entry_point(pid_t pid)
{
	uint64_t addr = 0;
	Elf64_auxv_t aux;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	f = fopen(path, "re");
	while (f && fread(&aux, sizeof(aux), 1, f) == 1)
		if (aux.a_type == AT_ENTRY)
			addr = aux.a_un.a_val;
	if (f)
		fclose(f);
	return addr;
}

static struct entry *entry_of(struct launch *l, pid_t pid)
{
	for (int i = 0; i < MAX_WAITING; i++)
		if (l->entries[i].pid == pid)
			return &l->entries[i];
	return NULL;
}

/* A breakpoint where the loader hands over; the word comes back before anything of the program runs. */
static void stop_at_entry(struct launch *l, pid_t pid)
{
	struct entry *e = entry_of(l, 0);
	uint64_t addr = entry_point(pid);
	long word;

	if (!e || !addr)
		return;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, addr, NULL);
	if (errno || ptrace(PTRACE_POKETEXT, pid, addr, (word & ~0xffL) | 0xcc))
		return;
	*e = (struct entry){ pid, addr, word };
}

/* Is this SIGTRAP our breakpoint? Then everything is as if it had never been. */
static bool arrived(struct launch *l, pid_t pid)
{
	struct entry *e = entry_of(l, pid);
	struct user_regs_struct regs;

	if (!e || ptrace(PTRACE_GETREGS, pid, NULL, &regs) || regs.rip != e->addr + 1)
		return false;
	regs.rip = e->addr;
	ptrace(PTRACE_POKETEXT, pid, e->addr, e->word);
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	e->pid = 0;
	return true;
}

static void at_entry(struct launch *l, pid_t pid)
{
	char release = 0;

	tell(l, LAUNCH_PROGRAM, pid, 0);
	if (read(l->theirs, &release, 1) != 1)
		release = 1;
	ptrace(release ? PTRACE_DETACH : PTRACE_CONT, pid, NULL, NULL);
}

static void stopped(struct launch *l, pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_EXEC) {
		stop_at_entry(l, pid);
		sig = 0;
	} else if (event) {
		sig = 0;
	} else if (sig == SIGTRAP && arrived(l, pid)) {
		at_entry(l, pid);
		return;
	} else if (sig == SIGSTOP) {
		sig = 0; /* a new tracee's first stop */
	}
	ptrace(PTRACE_CONT, pid, NULL, sig);
}

static bool start(struct launch *l)
{
	/* No PTRACE_O_EXITKILL: what the command leaves running must outlive us. */
	const long opts = PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
	int fds[2], err = 0, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		tell(l, LAUNCH_FAILED, 0, -errno);
		return false;
	}
	pid = fork();
	if (!pid)
		child(l->argv, fds[1]);
	close(fds[1]);
	if (pid > 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		l->pid = pid;
		ptrace(PTRACE_SETOPTIONS, pid, NULL, opts);
		ptrace(PTRACE_CONT, pid, NULL, NULL);
	} else {
		err = ECHILD;
	}
	/* The pipe closes on a successful exec; the exec itself stops and waits for us, so only look. */
	if (!err) {
		waitpid(pid, &status, __WALL);
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		if (read(fds[0], &err, sizeof(err)) != sizeof(err))
			err = 0;
		if (!err && WIFSTOPPED(status))
			stopped(l, pid, status);
	}
	close(fds[0]);
	if (err)
		tell(l, LAUNCH_FAILED, pid, -err);
	return !err;
}

static void *work(void *arg)
{
	struct launch *l = arg;
	int status;
	pid_t pid;

	if (!start(l))
		return NULL;
	while ((pid = waitpid(-1, &status, __WALL | __WNOTHREAD)) > 0 || errno == EINTR) {
		if (pid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			stopped(l, pid, status);
		} else if (pid == l->pid) {
			tell(l, LAUNCH_EXIT, pid, status);
			return NULL;
		}
	}
	tell(l, LAUNCH_FAILED, 0, -ECHILD);
	return NULL;
}

int launch__start(char *const argv[], struct launch **out)
{
	struct launch *l = calloc(1, sizeof(*l));
	int fds[2], err;

	if (!l)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
		err = -errno;
		free(l);
		return err;
	}
	l->argv = argv;
	l->ours = fds[0];
	l->theirs = fds[1];
	err = pthread_create(&l->thread, NULL, work, l);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		free(l);
		return -err;
	}
	*out = l;
	return 0;
}

void launch__free(struct launch *l)
{
	if (!l)
		return;
	shutdown(l->ours, SHUT_RDWR);
	pthread_join(l->thread, NULL);
	close(l->ours);
	close(l->theirs);
	free(l);
}

int launch__fd(const struct launch *l)
{
	return l->ours;
}

int launch__read(struct launch *l, struct launch_event *ev)
{
	ssize_t n = read(l->ours, ev, sizeof(*ev));

	return n == sizeof(*ev) ? 0 : n < 0 ? -errno : -EPIPE;
}

int launch__go(struct launch *l, bool release)
{
	char byte = release;

	return write(l->ours, &byte, 1) == 1 ? 0 : -errno;
}

pid_t launch__pid(const struct launch *l)
{
	return l->pid;
}
