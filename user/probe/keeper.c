// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bystander.h"
#include "clock.h"
#include "keeper.h"
#include "keeper_warm.h"
#include "log.h"
#include "thread.h"

#define CLOSE_MAX 1024
#define IDLE_MAX 64

/* To the keeper: a link to be made (with its program's descriptor), or numbers of links to be closed. */
struct request {
	enum { MAKE_LINK, CLOSE_LINKS, HURRY } what;
	uint32_t cnt; /* of numbers; milliseconds */
	union {
		struct keeper_link link;
		int numbers[CLOSE_MAX];
	};
};

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* The tracer's side. Each request has a connection for itself while it lasts. */
static struct {
	struct bystander process;
	pthread_mutex_t lock;
	int idle[IDLE_MAX];
	size_t idle_cnt;
} keeper = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The keeper's side: FDS[number], -1 where there is none. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t done;
	int *fds;
	size_t cnt, busy;
	bool ending;
} links = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

static ssize_t send_with_fd(int socket, const void *data, size_t size, int fd)
{
	union control control = {};
	struct iovec part = { (void *)data, size };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t receive_with_fd(int socket, void *data, size_t size, int *fd)
{
	union control control = {};
	struct iovec part = { data, size };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	const struct cmsghdr *head;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	head = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(head), sizeof(*fd));
	return n;
}

/* -ENOMEM: it is closed again. */
static int keep(int fd)
{
	size_t i = 0;
	int *more;

	while (i < links.cnt && links.fds[i] >= 0)
		i++;
	if (i == links.cnt) {
		more = realloc(links.fds, (2 * links.cnt + 16) * sizeof(*more));
		if (!more) {
			close(fd);
			return -ENOMEM;
		}
		memset(more + links.cnt, 0xff, (links.cnt + 16) * sizeof(*more));
		links.fds = more;
		links.cnt = 2 * links.cnt + 16;
	}
	links.fds[i] = fd;
	return i;
}

static int begin_work(void)
{
	int err = 0;

	pthread_mutex_lock(&links.lock);
	if (links.ending)
		err = -ESHUTDOWN;
	else
		links.busy++;
	pthread_mutex_unlock(&links.lock);
	return err;
}

static void end_work(void)
{
	pthread_mutex_lock(&links.lock);
	links.busy--;
	pthread_cond_signal(&links.done);
	pthread_mutex_unlock(&links.lock);
}

static int make_link(struct request *r, int prog_fd)
{
	int fd;

	if (r->link.cnt > KEEPER_PLACES_MAX)
		return -E2BIG;
	r->link.path[sizeof(r->link.path) - 1] = 0;
	fd = keeper_link__create(&r->link, prog_fd);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&links.lock);
	fd = keep(fd);
	pthread_mutex_unlock(&links.lock);
	return fd;
}

static int close_links(const struct request *r)
{
	int fds[CLOSE_MAX];
	size_t cnt = 0;

	pthread_mutex_lock(&links.lock);
	for (uint32_t i = 0; i < r->cnt && i < CLOSE_MAX; i++) {
		int number = r->numbers[i];

		if (number < 0 || (size_t)number >= links.cnt || links.fds[number] < 0)
			continue;
		fds[cnt++] = links.fds[number];
		links.fds[number] = -1;
	}
	pthread_mutex_unlock(&links.lock);
	keeper_links__close(fds, cnt);
	return 0;
}

static int obey(struct request *r, int prog_fd)
{
	switch (r->what) {
	case MAKE_LINK:
		return make_link(r, prog_fd);
	case CLOSE_LINKS:
		return close_links(r);
	case HURRY:
		return keeper_warm__until(clock__now_ns() + r->cnt * 1000000ULL);
	}
	return -EINVAL;
}

static void *serve(void *arg)
{
	int socket = (int)(intptr_t)arg, prog_fd;
	struct request *r = calloc(1, sizeof(*r));

	thread__hurry(); /* what comes late is slowed time of the target */
	while (r && receive_with_fd(socket, r, sizeof(*r), &prog_fd) == sizeof(*r)) {
		int result = begin_work();

		if (!result) {
			result = obey(r, prog_fd);
			end_work();
		}
		if (prog_fd >= 0)
			close(prog_fd);
		send_with_fd(socket, &result, sizeof(result), -1);
	}
	free(r);
	close(socket);
	return NULL;
}

/* The tracer is gone: what is being placed must be in place before it can be taken away. */
static void close_all(void)
{
	size_t cnt = 0;

	pthread_mutex_lock(&links.lock);
	links.ending = true;
	while (links.busy)
		pthread_cond_wait(&links.done, &links.lock);
	for (size_t i = 0; i < links.cnt; i++)
		if (links.fds[i] >= 0)
			links.fds[cnt++] = links.fds[i];
	pthread_mutex_unlock(&links.lock);
	keeper_links__close(links.fds, cnt);
}

static void keep_links(int control)
{
	int socket;
	char byte;

	while (receive_with_fd(control, &byte, 1, &socket) == 1)
		if (socket >= 0 && thread__start(NULL, serve, (void *)(intptr_t)socket))
			close(socket);
	close_all();
}

int keeper__start(void)
{
	return keeper.process.pid ? 0 : bystander__start(&keeper.process, "pyleak-keeper", keep_links);
}

void keeper__stop(void)
{
	for (size_t i = 0; i < keeper.idle_cnt; i++)
		close(keeper.idle[i]);
	keeper.idle_cnt = 0;
	bystander__stop(&keeper.process);
}

bool keeper__runs(void)
{
	return keeper.process.pid;
}

static int connect_to_keeper(void)
{
	int pair[2], err = 0;
	char byte = 0;

	pthread_mutex_lock(&keeper.lock);
	pair[0] = keeper.idle_cnt ? keeper.idle[--keeper.idle_cnt] : -1;
	pthread_mutex_unlock(&keeper.lock);
	if (pair[0] >= 0)
		return pair[0];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (send_with_fd(keeper.process.fd, &byte, 1, pair[1]) != 1)
		err = -EPIPE;
	close(pair[1]);
	if (err)
		close(pair[0]);
	return err ?: pair[0];
}

static void leave_connection(int socket)
{
	bool kept = false;

	pthread_mutex_lock(&keeper.lock);
	if (keeper.idle_cnt < IDLE_MAX) {
		keeper.idle[keeper.idle_cnt++] = socket;
		kept = true;
	}
	pthread_mutex_unlock(&keeper.lock);
	if (!kept)
		close(socket);
}

static int ask(const struct request *r, int prog_fd)
{
	int socket = connect_to_keeper(), result, none;

	if (socket < 0)
		return socket;
	if (send_with_fd(socket, r, sizeof(*r), prog_fd) != sizeof(*r) || receive_with_fd(socket, &result, sizeof(result), &none) != sizeof(result)) {
		close(socket);
		log_debug("the keeper of the probes does not answer");
		return -EPIPE;
	}
	leave_connection(socket);
	return result;
}

int keeper__attach(const struct keeper_link *link, int prog_fd)
{
	struct request *r = calloc(1, sizeof(*r));
	int result;

	if (!r)
		return -ENOMEM;
	r->link = *link;
	result = ask(r, prog_fd);
	free(r);
	return result;
}

void keeper__close(const int *numbers, size_t cnt)
{
	struct request *r = calloc(1, sizeof(*r));

	for (size_t i = 0; r && i < cnt; i += r->cnt) {
		r->what = CLOSE_LINKS;
		r->cnt = cnt - i < CLOSE_MAX ? cnt - i : CLOSE_MAX;
		memcpy(r->numbers, numbers + i, r->cnt * sizeof(*numbers));
		ask(r, -1);
	}
	free(r);
}

void keeper__hurry(uint32_t ms)
{
	struct request *r = keeper.process.pid ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return;
	r->what = HURRY;
	r->cnt = ms;
	ask(r, -1);
	free(r);
}
