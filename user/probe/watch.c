// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "watch.h"

#include "watch_event.h"
#include "watch.skel.h"

struct watch {
	struct watch_bpf *skel;
	struct bpf_link *exec_link, *mmap_link;
	struct ring_buffer *ring;
	void (*fn)(void *ctx, pid_t pid);
	void *ctx;
};

static int on_event(void *ctx, void *data, size_t size)
{
	const struct watch_event *ev = data;
	struct watch *w = ctx;

	if (size >= sizeof(*ev) && w->fn)
		w->fn(w->ctx, ev->tgid);
	return 0;
}

/* FENTRY: by trampoline (x86: 5.5), which kernels without kprobes have too. A missing kprobe is no error: then libraries are not seen. */
static int try(struct watch *w, bool fentry)
{
	w->skel = watch_bpf__open();
	if (!w->skel)
		return -errno;
	bpf_program__set_autoload(w->skel->progs.watch_mmap_fentry, fentry);
	bpf_program__set_autoload(w->skel->progs.watch_mmap_kprobe, !fentry);
	if (watch_bpf__load(w->skel))
		goto fail;
	w->exec_link = bpf_program__attach(w->skel->progs.watch_exec);
	w->mmap_link = bpf_program__attach(fentry ? w->skel->progs.watch_mmap_fentry : w->skel->progs.watch_mmap_kprobe);
	if (w->exec_link && (w->mmap_link || !fentry))
		return 0;
fail:
	bpf_link__destroy(w->exec_link);
	w->exec_link = NULL;
	watch_bpf__destroy(w->skel);
	w->skel = NULL;
	return -EOPNOTSUPP;
}

bool watch__sees_libraries(const struct watch *w)
{
	return w->mmap_link != NULL;
}

int watch__open(struct watch **out)
{
	struct watch *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	err = try(w, true);
	if (err)
		err = try(w, false);
	if (err)
		goto fail;
	w->ring = ring_buffer__new(bpf_map__fd(w->skel->maps.events), on_event, w, NULL);
	if (!w->ring) {
		err = -errno;
		goto fail;
	}
	*out = w;
	return 0;
fail:
	watch__free(w);
	return err;
}

void watch__free(struct watch *w)
{
	if (!w)
		return;
	ring_buffer__free(w->ring);
	bpf_link__destroy(w->exec_link);
	bpf_link__destroy(w->mmap_link);
	watch_bpf__destroy(w->skel);
	free(w);
}

int watch__epoll_fd(const struct watch *w)
{
	return ring_buffer__epoll_fd(w->ring);
}

int watch__consume(struct watch *w, void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	int err;

	w->fn = fn;
	w->ctx = ctx;
	err = ring_buffer__consume(w->ring);
	w->fn = NULL;
	return err < 0 ? err : 0;
}

uint64_t watch__dropped(const struct watch *w)
{
	return __atomic_load_n(&w->skel->bss->dropped, __ATOMIC_RELAXED);
}
