// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "bystander.h"
#include "proc_select.h"
#include "procfs.h"
#include "redirect.h"
#include "remote.h"

#define GENERATIONS 8 /* of forked children that are looked at */

/* What the guardian is told. */
struct record {
	pid_t pid; /* 0: the tracer ends in order */
	uint32_t cnt;
	bool resume, gone; /* GONE: put back already */
	uint64_t start_ticks;
	struct redirect_word words[REDIRECT_WORDS_MAX];
};

struct records {
	struct record *list;
	size_t cnt, capacity;
};

struct guardian {
	struct bystander process; /* ending without a last record, as death does, is what it waits for */
	struct records told; /* what it knows */
	bool restored;       /* all of that is put back */
};

struct redirect {
	struct guardian *guardian;
	struct record record;
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

static void restore(const struct record *r, pid_t pid, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		swap_word(pid, r->words[i].addr, r->words[i].alias, r->words[i].original);
}

static bool is_alive(const struct record *r, struct proc_status *st)
{
	return !procfs__status(r->pid, st) && st->start_ticks == r->start_ticks;
}

struct relative {
	pid_t pid, ppid;
	const struct record *record; /* NULL: none of its own */
};

static int compare(const void *a, const void *b)
{
	const struct relative *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

struct family {
	struct relative *list; /* by pid */
	size_t cnt;
};

static struct relative *find(const struct family *f, pid_t pid)
{
	return bsearch(&(struct relative){ .pid = pid }, f->list, f->cnt, sizeof(*f->list), compare);
}

/* All processes that there are now. */
static int list_family(struct family *f)
{
	struct proc_status st;
	pid_t *pids;
	int err = proc_select__list(&pids, &f->cnt);

	f->list = err ? NULL : calloc(f->cnt + 1, sizeof(*f->list));
	for (size_t i = 0; f->list && i < f->cnt; i++)
		f->list[i] = (struct relative){ .pid = pids[i], .ppid = procfs__status(pids[i], &st) ? 0 : st.ppid };
	free(pids);
	return err ?: f->list ? 0 : -ENOMEM;
}

/* A fork copies the words with the rest of the memory: what an ancestor has, PID may have. */
static void restore_inherited(const struct family *f, const struct relative *r)
{
	const struct relative *ancestor = r;

	for (int depth = 0; depth < GENERATIONS && (ancestor = find(f, ancestor->ppid)); depth++)
		if (ancestor->record)
			restore(ancestor->record, r->pid, ancestor->record->cnt);
}

/* All at once, as looking for the children means to look at every process that there is. */
static void restore_all(const struct record *records, size_t cnt)
{
	struct family family;
	struct proc_status st;
	bool any = false;

	/* First, so that what is forked from now on has nothing to be put back. */
	for (size_t i = 0; i < cnt; i++) {
		if (!records[i].cnt || !is_alive(&records[i], &st))
			continue;
		restore(&records[i], records[i].pid, records[i].cnt);
		any = true;
	}
	if (!any || list_family(&family))
		return;
	for (size_t i = 0; i < cnt; i++) {
		struct relative *r = find(&family, records[i].pid);

		if (r && records[i].cnt && is_alive(&records[i], &st))
			r->record = &records[i];
	}
	for (size_t i = 0; i < family.cnt; i++)
		restore_inherited(&family, &family.list[i]);
	free(family.list);
}

static int records__note(struct records *all, const struct record *r)
{
	for (size_t i = 0; i < all->cnt; i++) {
		if (all->list[i].pid != r->pid || all->list[i].start_ticks != r->start_ticks)
			continue;
		all->list[i] = r->gone ? all->list[--all->cnt] : *r;
		return 0;
	}
	if (r->gone)
		return 0;
	if (all->cnt == all->capacity) {
		size_t capacity = all->capacity ? 2 * all->capacity : 16;
		struct record *list = realloc(all->list, capacity * sizeof(*list));

		if (!list)
			return -ENOMEM;
		all->list = list;
		all->capacity = capacity;
	}
	all->list[all->cnt++] = *r;
	return 0;
}

/* A last stop may come while the tracer is being killed: look for a while. */
static void resume_all(const struct records *all)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct proc_status st;
	bool any = false;

	for (int round = 0; round < 25; round++) {
		for (size_t i = 0; i < all->cnt; i++) {
			any |= all->list[i].resume;
			if (all->list[i].resume && is_alive(&all->list[i], &st) && st.state == 'T')
				kill(all->list[i].pid, SIGCONT);
		}
		if (!any)
			return;
		nanosleep(&pause, NULL);
	}
}

static void guard(int fd)
{
	struct records all = {};
	struct record r;
	ssize_t n;

	for (;;) {
		n = read(fd, &r, sizeof(r));
		if (n < 0 && errno == EINTR)
			continue;
		if (n == sizeof(r) && !r.pid)
			return;
		if (n != sizeof(r))
			break;
		records__note(&all, &r);
	}
	restore_all(all.list, all.cnt);
	resume_all(&all);
}

struct guardian *guardian__new(void)
{
	struct guardian *g = calloc(1, sizeof(*g));

	return g;
}

static int start(struct guardian *g)
{
	return g->process.pid ? 0 : bystander__start(&g->process, "pyleak-guard", guard);
}

static int tell(struct guardian *g, const struct record *r)
{
	int err = r->pid ? records__note(&g->told, r) : 0;
	ssize_t n;

	if (err)
		return err;
	do {
		n = send(g->process.fd, r, sizeof(*r), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == sizeof(*r) ? 0 : -EPIPE;
}

void guardian__free(struct guardian *g)
{
	const struct record last = {};

	if (!g)
		return;
	if (g->process.pid)
		tell(g, &last);
	bystander__stop(&g->process);
	free(g->told.list);
	free(g);
}

void guardian__restore(struct guardian *g)
{
	restore_all(g->told.list, g->told.cnt);
	g->restored = true;
}

int redirect__apply(struct guardian *g, pid_t pid, uint64_t start_ticks, const struct redirect_word *words, size_t cnt, bool resume,
		    struct redirect **out)
{
	struct redirect *r = cnt <= REDIRECT_WORDS_MAX ? calloc(1, sizeof(*r)) : NULL;
	int err;

	if (!r)
		return -ENOMEM;
	r->guardian = g;
	r->record = (struct record){ .pid = pid, .cnt = cnt, .resume = resume, .start_ticks = start_ticks };
	memcpy(r->record.words, words, cnt * sizeof(*words));
	g->restored = false;
	err = start(g);
	err = err ?: tell(g, &r->record);
	for (size_t i = 0; i < cnt && !err; i++) {
		err = swap_word(pid, words[i].addr, words[i].original, words[i].alias);
		if (err)
			restore(&r->record, pid, i);
	}
	if (err) {
		r->record.cnt = 0;
		redirect__undo(r);
		return err;
	}
	*out = r;
	return 0;
}

/* All in two calls: between the first word and the last one the process goes on. */
void redirect__hold(const struct redirect *r)
{
	struct iovec local[REDIRECT_WORDS_MAX], there[REDIRECT_WORDS_MAX];
	struct remote_item items[REDIRECT_WORDS_MAX];
	uint64_t now[REDIRECT_WORDS_MAX];
	struct remote mem;
	size_t cnt = 0;

	if (!r || r->guardian->restored)
		return;
	mem = remote__process(r->record.pid);
	for (size_t i = 0; i < r->record.cnt; i++)
		items[i] = (struct remote_item){ r->record.words[i].addr, &now[i], sizeof(now[i]), 0 };
	if (remote__read_many(&mem, items, r->record.cnt))
		return;
	for (size_t i = 0; i < r->record.cnt; i++) {
		if (!items[i].ok || now[i] != r->record.words[i].original)
			continue;
		local[cnt] = (struct iovec){ (void *)&r->record.words[i].alias, sizeof(uint64_t) };
		there[cnt++] = (struct iovec){ (void *)r->record.words[i].addr, sizeof(uint64_t) };
	}
	if (cnt)
		process_vm_writev(r->record.pid, local, cnt, there, cnt, 0);
}

void redirect__undo(struct redirect *r)
{
	if (!r)
		return;
	if (!r->guardian->restored)
		restore_all(&r->record, 1);
	r->record.gone = true;
	if (r->guardian->process.pid)
		tell(r->guardian, &r->record);
	free(r);
}

void redirect__release(const struct redirect *r)
{
	for (uint32_t i = 0; r && i < r->record.cnt; i++)
		swap_word(r->record.pid, r->record.words[i].addr, r->record.words[i].alias, r->record.words[i].original);
}
