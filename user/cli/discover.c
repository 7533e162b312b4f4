// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "discover.h"
#include "log.h"
#include "proc_select.h"
#include "python.h"
#include "scan.h"
#include "watch.h"

#define FIRST_LOOK_NS 10000000     /* after an exec: the interpreter needs that long to come up */
#define LAST_LOOK_NS 5000000000ULL /* what is no Python by then will tell by mapping libpython */
#define RESCAN_NS 2000000000ULL    /* where mappings are not told */
#define NO_PYTHON_NS 300000000     /* a program may need that long to load libpython where its mapping is not told */

struct candidate {
	pid_t pid;
	uint64_t since_ns, next_ns;
};

struct discover {
	struct discover_events events;
	struct watch *watch;
	int epoll_fd, timer_fd;
	struct candidate *list;
	size_t cnt, capacity;
	struct py_scan *scan;
	uint64_t next_scan_ns; /* UINT64_MAX: never */
	uint64_t dropped;      /* of the watch's events, at the last scan */
};

static int add_fd(const struct discover *d, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int discover__new(const struct discover_events *events, struct discover **out)
{
	struct discover *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->events = *events;
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = d->epoll_fd < 0 || d->timer_fd < 0 ? -errno : watch__open(&d->watch);
	d->scan = err ? NULL : py_scan__new();
	d->next_scan_ns = UINT64_MAX;
	if (!err && !d->scan)
		err = -ENOMEM;
	err = err ?: add_fd(d, d->timer_fd);
	err = err ?: add_fd(d, watch__epoll_fd(d->watch));
	if (err) {
		discover__free(d);
		return err;
	}
	*out = d;
	return 0;
}

void discover__free(struct discover *d)
{
	if (!d)
		return;
	watch__free(d->watch);
	py_scan__free(d->scan);
	close(d->timer_fd);
	close(d->epoll_fd);
	free(d->list);
	free(d);
}

int discover__epoll_fd(const struct discover *d)
{
	return d->epoll_fd;
}

static void arm(const struct discover *d)
{
	struct itimerspec it = {};
	uint64_t next = d->next_scan_ns;

	for (size_t i = 0; i < d->cnt; i++)
		if (d->list[i].next_ns < next)
			next = d->list[i].next_ns;
	if (next != UINT64_MAX) {
		it.it_value.tv_sec = next / 1000000000;
		it.it_value.tv_nsec = next % 1000000000;
	}
	timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void add(struct discover *d, pid_t pid, uint64_t delay_ns)
{
	uint64_t now = clock__now_ns();
	struct candidate *c = NULL;

	for (size_t i = 0; i < d->cnt; i++)
		if (d->list[i].pid == pid)
			c = &d->list[i];
	if (!c && d->cnt == d->capacity) {
		size_t capacity = d->capacity ? 2 * d->capacity : 64;
		struct candidate *list = realloc(d->list, capacity * sizeof(*list));

		if (!list)
			return;
		d->list = list;
		d->capacity = capacity;
	}
	if (!c)
		c = &d->list[d->cnt++];
	*c = (struct candidate){ .pid = pid, .since_ns = now, .next_ns = now + delay_ns };
}

static void on_watch(void *ctx, pid_t pid)
{
	add(ctx, pid, FIRST_LOOK_NS);
}

/* false: look again later. */
static bool look(struct discover *d, const struct candidate *c, uint64_t now)
{
	struct py_interp py;
	uint64_t age = now - c->since_ns;
	char why[512] = "";
	int err;

	if (!d->events.wanted(d->events.ctx, c->pid))
		return true;
	err = py_interp__open(&py, c->pid, why, sizeof(why));
	if (!err) {
		py_interp__close(&py);
		return d->events.found(d->events.ctx, c->pid);
	}
	if (err == -EAGAIN)
		return age > LAST_LOOK_NS;
	if (err == -ENOEXEC)
		return age > NO_PYTHON_NS;
	if (err == -EOPNOTSUPP && age > NO_PYTHON_NS)
		d->events.refused(d->events.ctx, why);
	return err != -EOPNOTSUPP || age > NO_PYTHON_NS;
}

static void look_at_all(struct discover *d, uint64_t now)
{
	for (size_t i = 0; i < d->cnt;) {
		struct candidate c = d->list[i];

		if (c.next_ns > now) {
			i++;
		} else if (look(d, &c, now)) {
			d->list[i] = d->list[--d->cnt];
		} else {
			d->list[i++].next_ns = now + FIRST_LOOK_NS + (now - c.since_ns) / 4;
		}
	}
}

static void scan(struct discover *d)
{
	pid_t *pids;
	size_t cnt;

	if (proc_select__list(&pids, &cnt))
		return;
	for (size_t i = 0; i < cnt; i++)
		if (d->events.wanted(d->events.ctx, pids[i]) && py_scan__is_python(d->scan, pids[i]) == 1)
			add(d, pids[i], 0);
	free(pids);
}

void discover__run(struct discover *d)
{
	uint64_t expirations, now, dropped;
	ssize_t n = read(d->timer_fd, &expirations, sizeof(expirations));

	(void)n;
	watch__consume(d->watch, on_watch, d);
	now = clock__now_ns();
	dropped = watch__dropped(d->watch);
	if (dropped != d->dropped)
		log_info("%llu new processes could not be told in time: all are looked at",
			 (unsigned long long)(dropped - d->dropped));
	if (now >= d->next_scan_ns || dropped != d->dropped) {
		scan(d);
		/* And once more after a loss, as a mapping is told before it is there. */
		d->next_scan_ns = dropped != d->dropped || !watch__sees_libraries(d->watch) ? now + RESCAN_NS : UINT64_MAX;
		d->dropped = dropped;
	}
	look_at_all(d, clock__now_ns());
	arm(d);
}

void discover__scan(struct discover *d)
{
	scan(d);
	if (!watch__sees_libraries(d->watch))
		d->next_scan_ns = clock__now_ns() + RESCAN_NS;
	for (size_t i = 0; i < d->cnt; i++)
		d->list[i].since_ns -= NO_PYTHON_NS + 1; /* they are what they are */
	discover__run(d);
}
