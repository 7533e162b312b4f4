// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "keeper.h"
#include "uprobe.h"

struct places {
	const uint64_t *offs, *ref_ctr_offs, *cookies; /* in the file; the latter two may be NULL */
	size_t cnt;
};

int uprobe__empty_program(bool multi)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts opts = {
		.sz = sizeof(opts),
		.expected_attach_type = (enum bpf_attach_type)(multi ? UPROBE_MULTI_ATTACH_TYPE : 0),
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "pyleak_nothing", "GPL", insns, 2, &opts);

	return fd < 0 ? -errno : fd;
}

bool uprobe__have_multi(void)
{
	struct keeper_link *l = calloc(1, sizeof(*l));
	int prog_fd = l ? uprobe__empty_program(true) : -ENOMEM, fd;

	if (prog_fd < 0) {
		free(l);
		return false;
	}
	l->multi = true;
	l->cnt = 1;
	strcpy(l->path, "/");
	fd = keeper_link__create(l, prog_fd);
	if (fd >= 0)
		close(fd);
	close(prog_fd);
	free(l);
	return fd == -EBADF; /* it got as far as looking at the path */
}

static void close_ids(const int *ids, size_t cnt, bool kept)
{
	if (kept)
		keeper__close(ids, cnt);
	else
		keeper_links__close(ids, cnt);
}

static int links_add(struct uprobe_links *links, int id, bool kept)
{
	int *ids = links->cnt && links->kept != kept ? NULL : realloc(links->ids, (links->cnt + 1) * sizeof(*ids));

	if (!ids) {
		close_ids(&id, 1, kept);
		return -ENOMEM;
	}
	links->kept = kept;
	links->ids = ids;
	links->ids[links->cnt++] = id;
	return 0;
}

static int make_room(struct uprobe_links *to, const struct uprobe_links *from, size_t cnt)
{
	int *ids = to->cnt && from->cnt && to->kept != from->kept ? NULL : realloc(to->ids, (to->cnt + cnt + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	to->ids = ids;
	to->kept = from->cnt ? from->kept : to->kept;
	return 0;
}

int uprobe_links__move(struct uprobe_links *to, struct uprobe_links *from)
{
	int err = make_room(to, from, from->cnt);

	if (err)
		return err;
	for (size_t i = 0; i < from->cnt; i++)
		to->ids[to->cnt++] = from->ids[i];
	to->places += from->places;
	free(from->ids);
	*from = (struct uprobe_links){};
	return 0;
}

int uprobe_links__move_one(struct uprobe_links *to, struct uprobe_links *from, size_t i)
{
	int err = make_room(to, from, 1);

	if (err)
		return err;
	to->ids[to->cnt++] = from->ids[i];
	memmove(from->ids + i, from->ids + i + 1, (--from->cnt - i) * sizeof(*from->ids));
	return 0;
}

/* The keeper's /proc/self is another one. */
static void set_path(struct keeper_link *l, const char *path)
{
	const char *rest = path + strlen("/proc/self");
	char self[32];
	ssize_t n;

	snprintf(l->path, sizeof(l->path), "%s", path);
	if (strncmp(path, "/proc/self/", strlen("/proc/self/")) != 0)
		return;
	n = readlink("/proc/self", self, sizeof(self));
	if (n > 0 && n < (ssize_t)sizeof(self))
		snprintf(l->path, sizeof(l->path), "/proc/%.*s%s", (int)n, self, rest);
}

static int attach_link(struct keeper_link *l, int prog_fd, struct uprobe_links *links)
{
	bool kept = keeper__runs();
	int id = kept ? keeper__attach(l, prog_fd) : keeper_link__create(l, prog_fd);

	return id < 0 ? id : links_add(links, id, kept);
}

static int attach(const struct uprobe_target *t, int prog_fd, const struct places *places, bool returns, struct uprobe_links *links)
{
	struct keeper_link *l = calloc(1, sizeof(*l));
	size_t at_once = t->multi ? KEEPER_PLACES_MAX : 1;
	int err = l ? 0 : -ENOMEM;

	for (size_t i = 0; i < places->cnt && !err; i += l->cnt) {
		l->pid = t->pid;
		l->multi = t->multi;
		l->returns = returns;
		l->has_refs = places->ref_ctr_offs;
		l->has_cookies = places->cookies;
		l->cnt = places->cnt - i < at_once ? places->cnt - i : at_once;
		set_path(l, t->path);
		memcpy(l->offs, places->offs + i, l->cnt * sizeof(*l->offs));
		if (l->has_refs)
			memcpy(l->refs, places->ref_ctr_offs + i, l->cnt * sizeof(*l->refs));
		if (l->has_cookies)
			memcpy(l->cookies, places->cookies + i, l->cnt * sizeof(*l->cookies));
		err = attach_link(l, prog_fd, links);
		links->places += err || returns ? 0 : l->cnt;
	}
	free(l);
	return err;
}

int uprobe__attach(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *ref_ctr_offs, size_t cnt,
		   bool returns, struct uprobe_links *links)
{
	return attach(t, prog_fd, &(struct places){ offs, ref_ctr_offs, NULL, cnt }, returns, links);
}

int uprobe__attach_cookies(const struct uprobe_target *t, int prog_fd, const uint64_t *offs, const uint64_t *cookies, size_t cnt,
			   struct uprobe_links *links)
{
	return t->multi ? attach(t, prog_fd, &(struct places){ offs, NULL, cookies, cnt }, false, links) : -EOPNOTSUPP;
}

void uprobe_links__close(struct uprobe_links *links)
{
	if (links->cnt)
		close_ids(links->ids, links->cnt, links->kept);
	free(links->ids);
	*links = (struct uprobe_links){};
}
