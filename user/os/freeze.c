// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "freeze.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bystander.h"
#include "clock.h"
#include "mem_cgroup.h"
#include "procfs.h"

enum {
	LOOK_AGAIN_NS = 50000,
	MOUNTINFO_MAX_BYTES = 4 << 20,
	LEVELS_MAX = 16, /* of cgroups below that of the process */
};

struct order {
	pid_t pid; /* 0: let go */
	uint64_t start_ticks, max_ns;
};

struct answer {
	int err;
	struct freeze_result result;
};

struct freezer {
	struct bystander guardian;
	struct order held; /* pid 0: nothing is */
	enum freeze_by by;
	uint64_t since_ns;
};

/* What is held, and by what. */
struct hold {
	enum freeze_by by;
	int pid_fd, cgroup_fd; /* -1: none */
	uint64_t since_ns, end_ns;
};

static int open_pid(const struct order *o)
{
	struct proc_status st;
	int fd = syscall(SYS_pidfd_open, o->pid, 0), err;

	if (fd < 0)
		return -errno;
	err = procfs__status(o->pid, &st);
	if (!err && st.start_ticks == o->start_ticks && st.state != 'Z')
		return fd;
	close(fd);
	return err ? err : -ESRCH;
}

static int send_signal(int pid_fd, int number)
{
	return syscall(SYS_pidfd_send_signal, pid_fd, number, NULL, 0) ? -errno : 0;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

static int read_text(int dir_fd, const char *name, char *out, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	out[n] = '\0';
	return 0;
}

static int write_text(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), err;

	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* Of all threads; those that wait in the kernel without a chance of being disturbed run nothing of their own. */
static int is_stopped(pid_t pid, bool *stopped)
{
	char name[300], text[512];
	const struct dirent *entry;
	const char *state;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/task", (int)pid);
	dir = opendir(name);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	*stopped = true;
	while (*stopped && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(name, sizeof(name), "%s/stat", entry->d_name);
		if (read_text(dirfd(dir), name, text, sizeof(text)))
			continue; /* ended */
		state = strrchr(text, ')');
		*stopped = state && state[1] && strchr("TtDXxZ", state[2]);
	}
	closedir(dir);
	return 0;
}

static bool is_only(const char *procs, pid_t pid)
{
	char *end;

	while (*procs) {
		if (strtol(procs, &end, 10) != pid || end == procs)
			return false;
		procs = *end == '\n' ? end + 1 : end;
	}
	return true;
}

/* In the cgroup at DIR_FD and those below there is no process but PID. A longer list than fits has others in it. */
static bool is_alone(int dir_fd, pid_t pid, int level)
{
	char procs[256];
	const struct dirent *entry;
	bool alone = !read_text(dir_fd, "cgroup.procs", procs, sizeof(procs)) && is_only(procs, pid);
	int again = alone && level < LEVELS_MAX ? openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, below;
	DIR *dir = again >= 0 ? fdopendir(again) : NULL;

	if (!dir) {
		if (again >= 0)
			close(again);
		return false;
	}
	while (alone && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		alone = below >= 0 && is_alone(below, pid, level + 1);
		if (below >= 0)
			close(below);
	}
	closedir(dir);
	return alone;
}

/* The cgroup that PID is in, if that has a freezer; -ENOENT: none that we see. */
static int open_cgroup(pid_t pid)
{
	char *mountinfo = NULL, text[8192], path[8192];
	struct mem_cgroups *mounts = malloc(sizeof(*mounts));
	struct statfs fs;
	ssize_t len = procfs__cgroup(pid, text, sizeof(text));
	int err = !mounts ? -ENOMEM : len < 0 ? (int)len : procfs__mountinfo(getpid(), &mountinfo), fd = -1;

	if (!err)
		mem_cgroups__parse(mountinfo, mounts);
	if (!err)
		err = mem_cgroups__v2_dir(mounts, text, path, sizeof(path));
	if (!err) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		err = fd < 0 ? -errno : 0;
	}
	if (!err && (fstatfs(fd, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC || faccessat(fd, "cgroup.freeze", W_OK, 0))) {
		close(fd);
		err = -ENOENT;
	}
	free(mountinfo);
	free(mounts);
	return err ? err : fd;
}

static bool is_frozen(int cgroup_fd)
{
	char text[256];

	return !read_text(cgroup_fd, "cgroup.events", text, sizeof(text)) && strstr(text, "frozen 1");
}

/* -EBUSY: not for us, others would be frozen along. What somebody else has frozen is left so. */
static int freeze_cgroup(struct hold *h, pid_t pid)
{
	char text[16];
	int fd = open_cgroup(pid), err = 0;

	if (fd < 0)
		return fd;
	if (is_frozen(fd)) {
		h->by = FREEZE_STOPPED;
		goto out;
	}
	if (!is_alone(fd, pid, 0) || read_text(fd, "cgroup.freeze", text, sizeof(text)) || *text != '0')
		err = -EBUSY;
	if (!err)
		err = write_text(fd, "cgroup.freeze", "1");
	if (err)
		goto out;
	/* One that was moved there, or forked, in between is not to be frozen. */
	if (!is_alone(fd, pid, 0))
		err = -EBUSY;
	while (!err && !is_frozen(fd)) {
		err = clock__now_ns() >= h->end_ns ? -ETIMEDOUT : 0;
		if (!err)
			sleep_ns(LOOK_AGAIN_NS);
	}
	if (err) {
		write_text(fd, "cgroup.freeze", "0");
		goto out;
	}
	h->by = FREEZE_CGROUP;
	h->cgroup_fd = fd;
	return 0;
out:
	close(fd);
	return err;
}

static int stop(struct hold *h, pid_t pid)
{
	bool stopped = false;
	int err = send_signal(h->pid_fd, SIGSTOP);

	if (err)
		return err;
	h->by = FREEZE_SIGNAL;
	while (!err && !stopped) {
		err = is_stopped(pid, &stopped);
		if (!err && !stopped)
			err = clock__now_ns() >= h->end_ns ? -ETIMEDOUT : 0;
		if (!err && !stopped)
			sleep_ns(LOOK_AGAIN_NS);
	}
	if (err) {
		send_signal(h->pid_fd, SIGCONT);
		h->by = FREEZE_NONE;
	}
	return err;
}

static void let_go(struct hold *h)
{
	if (h->by == FREEZE_CGROUP)
		write_text(h->cgroup_fd, "cgroup.freeze", "0");
	else if (h->by == FREEZE_SIGNAL)
		send_signal(h->pid_fd, SIGCONT);
	if (h->cgroup_fd >= 0)
		close(h->cgroup_fd);
	if (h->pid_fd >= 0)
		close(h->pid_fd);
	h->cgroup_fd = h->pid_fd = -1;
}

static int take_hold(const struct order *o, struct hold *h)
{
	struct proc_status st;
	int err;

	*h = (struct hold){ .pid_fd = open_pid(o), .cgroup_fd = -1 };
	if (h->pid_fd < 0)
		return h->pid_fd;
	h->since_ns = clock__now_ns();
	h->end_ns = h->since_ns + o->max_ns;
	err = procfs__status(o->pid, &st);
	if (!err && (st.state == 'T' || st.state == 't')) {
		h->by = FREEZE_STOPPED;
		return 0;
	}
	if (!err)
		err = freeze_cgroup(h, o->pid);
	if (err && err != -ETIMEDOUT && err != -ESRCH)
		err = stop(h, o->pid);
	if (err)
		let_go(h);
	return err;
}

/* Is there word of the caller, or is it gone, before END_NS? */
static bool wait_for_word(int fd, uint64_t end_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t;
	uint64_t now;
	int n;

	do {
		now = clock__now_ns();
		if (now >= end_ns)
			return false;
		t = (struct timespec){ (end_ns - now) / 1000000000, (end_ns - now) % 1000000000 };
		n = ppoll(&p, 1, &t, NULL);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static bool take_word(int fd, void *out, size_t size)
{
	ssize_t n;

	do {
		n = recv(fd, out, size, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

static bool give_word(int fd, const void *word, size_t size)
{
	ssize_t n;

	do {
		n = send(fd, word, size, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

static void guard(int fd)
{
	struct order o;
	struct hold h;

	setpriority(PRIO_PROCESS, 0, -20); /* on a busy host a process must not be held until it is our turn */
	while (take_word(fd, &o, sizeof(o))) {
		struct answer a = { 0 };
		bool word = true;

		if (!o.pid)
			continue;
		a.err = take_hold(&o, &h);
		a.result.by = h.by;
		if (give_word(fd, &a, sizeof(a)) && a.err)
			continue;
		if (!a.err) {
			word = h.by == FREEZE_STOPPED || wait_for_word(fd, h.end_ns);
			let_go(&h);
		}
		if (h.by != FREEZE_STOPPED)
			a.result.held_ns = clock__now_ns() - h.since_ns;
		a.result.bound_ended = !word;
		if (!take_word(fd, &o, sizeof(o)) || !give_word(fd, &a, sizeof(a)))
			break;
	}
}

int freezer__new(struct freezer **out)
{
	struct freezer *f = calloc(1, sizeof(*f));
	int err = f ? bystander__start(&f->guardian, "pyleak-freezer", guard) : -ENOMEM;

	if (err)
		free(f);
	else
		*out = f;
	return err;
}

/* The guardian was killed. What it held, it can let go no more. */
static void rescue(struct freezer *f)
{
	struct hold h = { .by = f->by, .pid_fd = open_pid(&f->held), .cgroup_fd = -1 };
	struct proc_status st;

	if (h.pid_fd < 0)
		return;
	if (h.by == FREEZE_NONE) { /* in the middle of it */
		h.cgroup_fd = open_cgroup(f->held.pid);
		if (h.cgroup_fd >= 0 && is_alone(h.cgroup_fd, f->held.pid, 0))
			write_text(h.cgroup_fd, "cgroup.freeze", "0");
		h.by = !procfs__status(f->held.pid, &st) && st.state == 'T' ? FREEZE_SIGNAL : FREEZE_NONE;
	} else if (h.by == FREEZE_CGROUP) {
		h.cgroup_fd = open_cgroup(f->held.pid);
	}
	let_go(&h);
}

int freezer__hold(struct freezer *f, pid_t pid, uint64_t start_ticks, uint64_t max_ns)
{
	const struct order o = { pid, start_ticks, max_ns };
	struct proc_status st;
	struct answer a;
	int err = procfs__status(pid, &st);

	if (err)
		return err;
	f->held = o;
	f->since_ns = clock__now_ns();
	f->by = st.state == 'T' || st.state == 't' ? FREEZE_STOPPED : FREEZE_NONE;
	if (!give_word(f->guardian.fd, &o, sizeof(o)) || !take_word(f->guardian.fd, &a, sizeof(a))) {
		rescue(f);
		f->held.pid = 0;
		return -EPIPE;
	}
	f->by = a.result.by;
	if (a.err)
		f->held.pid = 0;
	return a.err;
}

void freezer__release(struct freezer *f, struct freeze_result *out)
{
	const struct order o = { 0 };
	struct answer a;

	*out = (struct freeze_result){ 0 };
	if (!f->held.pid)
		return;
	if (give_word(f->guardian.fd, &o, sizeof(o)) && take_word(f->guardian.fd, &a, sizeof(a))) {
		*out = a.result;
	} else {
		rescue(f);
		*out = (struct freeze_result){ .by = f->by, .held_ns = f->by == FREEZE_STOPPED ? 0 : clock__now_ns() - f->since_ns };
	}
	f->held.pid = 0;
}

void freezer__free(struct freezer *f)
{
	struct freeze_result result;

	if (!f)
		return;
	freezer__release(f, &result);
	bystander__stop(&f->guardian);
	free(f);
}
