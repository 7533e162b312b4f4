// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "engine.h"
#include "gate_listen.h"
#include "log.h"
#include "thread.h"

struct listener {
	struct engine *engine;
	struct ring_buffer *ring;
	pthread_t thread;
	bool running;
	struct gates *all;
	int wake_fds[MAX_PROCS]; /* -1: nobody listens */
};

struct gates {
	pthread_mutex_t lock;
	struct listener **listeners;
	size_t cnt;
	bool stop;
};

static int on_event(void *ctx, void *data, size_t size)
{
	struct listener *l = ctx;
	const struct plain_event *ev = data;
	const uint64_t one = 1;

	if (size < sizeof(*ev) || ev->slot >= MAX_PROCS)
		return 0;
	pthread_mutex_lock(&l->all->lock);
	if (l->wake_fds[ev->slot] >= 0 && write(l->wake_fds[ev->slot], &one, sizeof(one)) < 0)
		log_debug("cannot wake a gate: %s", strerror(errno));
	pthread_mutex_unlock(&l->all->lock);
	return 0;
}

static void *listen_to(void *arg)
{
	struct listener *l = arg;

	thread__hurry();
	while (!__atomic_load_n(&l->all->stop, __ATOMIC_ACQUIRE))
		if (ring_buffer__poll(l->ring, 500) < 0 && errno != EINTR)
			break;
	return NULL;
}

struct gates *gates__new(void)
{
	struct gates *all = calloc(1, sizeof(*all));

	if (all)
		pthread_mutex_init(&all->lock, NULL);
	return all;
}

static void free_listener(struct listener *l)
{
	if (l->running)
		pthread_join(l->thread, NULL);
	ring_buffer__free(l->ring);
	free(l);
}

void gates__free(struct gates *all)
{
	if (!all)
		return;
	__atomic_store_n(&all->stop, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < all->cnt; i++)
		free_listener(all->listeners[i]);
	free(all->listeners);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static struct listener *find(const struct gates *all, const struct engine *e)
{
	for (size_t i = 0; i < all->cnt; i++)
		if (all->listeners[i]->engine == e)
			return all->listeners[i];
	return NULL;
}

static struct listener *add(struct gates *all, struct engine *e)
{
	struct listener **list = realloc(all->listeners, (all->cnt + 1) * sizeof(*list)), *l;

	if (!list)
		return NULL;
	all->listeners = list;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->engine = e;
	l->all = all;
	memset(l->wake_fds, 0xff, sizeof(l->wake_fds));
	l->ring = ring_buffer__new(engine__gate_fd(e), on_event, l, NULL);
	l->running = l->ring && !thread__start(&l->thread, listen_to, l);
	if (!l->running) {
		free_listener(l);
		return NULL;
	}
	list[all->cnt++] = l;
	return l;
}

static void set(struct gates *all, struct listener *l, uint32_t slot, int wake_fd)
{
	pthread_mutex_lock(&all->lock);
	l->wake_fds[slot] = wake_fd;
	pthread_mutex_unlock(&all->lock);
}

int gates__listen(struct gates *all, struct engine *e, uint32_t slot, int wake_fd)
{
	struct listener *l = find(all, e) ?: add(all, e);

	if (!l)
		return -ENOMEM;
	set(all, l, slot, wake_fd);
	return 0;
}

void gates__ignore(struct gates *all, const struct engine *e, uint32_t slot)
{
	struct listener *l = find(all, e);

	if (l)
		set(all, l, slot, -1);
}
