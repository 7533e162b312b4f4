// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "core_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core_state.h"
#include "libc_heap.h"

static int open_file(struct core_file *core, const char *path, char *why, size_t why_size)
{
	struct stat st;

	core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (core->fd < 0 || fstat(core->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "is no regular file");
		return -ENOEXEC;
	}
	core->size = st.st_size;
	return 0;
}

static void see_nothing(void *ctx, const struct libc_chunk *chunk)
{
	(void)ctx;
	(void)chunk;
}

/* /proc names it "[heap]"; of a core its chunks tell. */
static int find_heap(struct core_file *core)
{
	const struct remote mem = core_file__remote(core);
	struct libc_walk walk;
	int err = libc_walk__init(&walk, &mem, see_nothing, NULL);

	for (size_t i = 0; i < core->segment_cnt && !err && !core->heap_start; i++) {
		const struct core_segment *s = &core->segments[i];

		if (s->r && s->w && !s->lib && !s->stack && s->held_bytes && libc_walk__is_main(&walk, s->start, s->end))
			core->heap_start = s->start;
	}
	libc_walk__free(&walk);
	return err;
}

int core_file__open(const char *path, struct core_file **out, char *why, size_t why_size)
{
	struct core_file *core = calloc(1, sizeof(*core));
	int err;

	if (!core)
		return -ENOMEM;
	core->fd = -1;
	if (why_size)
		*why = '\0';
	err = open_file(core, path, why, why_size);
	if (!err)
		err = core_segments__read(core, why, why_size);
	if (!err)
		err = core_segments__find_pages(core);
	if (!err)
		err = find_heap(core);
	if (err && why_size && !*why)
		snprintf(why, why_size, "cannot be read: %s", strerror(-err));
	if (!err) {
		*out = core;
		core = NULL;
	}
	core_file__close(core);
	return err;
}

void core_file__close(struct core_file *core)
{
	if (!core)
		return;
	for (size_t i = 0; i < core->lib_cnt; i++)
		if (core->libs[i].fd >= 0)
			close(core->libs[i].fd);
	if (core->fd >= 0)
		close(core->fd);
	core_notes__free(&core->notes);
	free(core->segments);
	free(core->libs);
	free(core->pages);
	free(core);
}

static int remote_read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	return core_read__memory(r->core, addr, out, size);
}

struct remote core_file__remote(struct core_file *core)
{
	return (struct remote){ .read = remote_read, .core = core };
}

static const char *name_of(const struct core_file *core, const struct core_segment *s)
{
	if (s->lib)
		return core->libs[s->lib - 1].path;
	if (core->heap_start && s->start == core->heap_start)
		return "[heap]";
	return s->stack && core->notes.random_addr - s->start < s->end - s->start ? "[stack]" : NULL;
}

int core_file__maps(const struct core_file *core, struct proc_maps *out)
{
	*out = (struct proc_maps){ .maps = calloc(core->segment_cnt, sizeof(*out->maps)) };
	if (!out->maps)
		return -ENOMEM;
	for (size_t i = 0; i < core->segment_cnt; i++) {
		const struct core_segment *s = &core->segments[i];
		const char *name = name_of(core, s);

		out->maps[out->cnt++] = (struct proc_map){
			.start = s->start, .end = s->end, .file_off = s->file_off, .r = s->r, .w = s->w, .x = s->x,
			.inode = s->lib, .deleted = s->lib && core->libs[s->lib - 1].deleted, .path = name ? strdup(name) : NULL,
		};
		if (name && !out->maps[i].path) {
			proc_maps__free(out);
			return -ENOMEM;
		}
	}
	return 0;
}

void core_file__status(const struct core_file *core, struct proc_status *out)
{
	const struct core_notes *n = &core->notes;

	*out = (struct proc_status){
		.rss_bytes = core->memory.rss_bytes, .peak_rss_bytes = core->memory.rss_bytes, .ppid = n->ppid, .ns_pid = n->pid, .uid = n->uid,
		.threads = n->thread_cnt, .state = 'X',
	};
	snprintf(out->comm, sizeof(out->comm), "%s", n->comm);
}

void core_file__memory(const struct core_file *core, struct proc_memory *out)
{
	*out = core->memory;
}

pid_t core_file__pid(const struct core_file *core)
{
	return core->notes.pid;
}

/* The lowest mapping is the executable's, unless the dynamic linker was run as the program. */
int core_file__exe(const struct core_file *core, char *out, size_t out_size)
{
	const struct core_segment *s = core->notes.phdr_addr ? core_segments__at(core, core->notes.phdr_addr) : NULL;

	for (size_t i = 0; i < core->segment_cnt && (!s || !s->lib); i++)
		s = &core->segments[i];
	if (!s || !s->lib)
		return -ENOENT;
	snprintf(out, out_size, "%s", core->libs[s->lib - 1].path);
	return 0;
}

int core_file__open_path(struct core_file *core, const struct proc_map *map, char *out, size_t out_size)
{
	struct core_lib *lib = map->inode && map->inode <= core->lib_cnt ? &core->libs[map->inode - 1] : NULL;

	if (!lib)
		return -EINVAL;
	core_read__look_at_lib(core, lib);
	switch (lib->state) {
	case LIB_SAME:
		return (size_t)snprintf(out, out_size, "%s", lib->path) < out_size ? 0 : -ENAMETOOLONG;
	case LIB_MISSING:
		return lib->err;
	case LIB_OTHER:
		return -ESTALE;
	default:
		return -ENOEXEC;
	}
}

size_t core_file__pages(const struct core_file *core, const struct page_range **out)
{
	*out = core->pages;
	return core->page_cnt;
}

static void tell_missing(const struct core_file *core, char *out, size_t size)
{
	char mib[32];

	snprintf(mib, sizeof(mib), "%.1f MiB", (core->cut_bytes ? core->cut_bytes : core->left_bytes) / 1048576.0);
	if (core->cut_bytes)
		snprintf(out, size, "the core is cut off or damaged: %s of the process's memory are not in it", mib);
	else if (core->left_bytes)
		snprintf(out, size, "%s of the process's memory were left out of the core (/proc/PID/coredump_filter, MADV_DONTDUMP)", mib);
}

/* Of the files that were asked for. */
static void tell_libs(const struct core_file *core, char *out, size_t size)
{
	const struct core_lib *first = NULL;
	size_t cnt = 0;
	char more[40] = "";

	for (size_t i = 0; i < core->lib_cnt; i++) {
		const struct core_lib *lib = &core->libs[i];

		if (lib->state != LIB_MISSING && lib->state != LIB_OTHER)
			continue;
		first = cnt++ ? first : lib;
	}
	if (cnt > 1)
		snprintf(more, sizeof(more), " (and %zu files more)", cnt - 1);
	if (first && first->state == LIB_OTHER)
		snprintf(out, size, "%s is another file here than the process had%s", first->path, more);
	else if (first)
		snprintf(out, size, "%s is not here: %s%s", first->path, strerror(-first->err), more);
}

bool core_file__gap(const struct core_file *core, char *out, size_t out_size)
{
	char missing[200] = "", libs[400] = "";

	tell_missing(core, missing, sizeof(missing));
	tell_libs(core, libs, sizeof(libs));
	if (*missing || *libs)
		snprintf(out, out_size, "%s%s%s", missing, *missing && *libs ? "; " : "", libs);
	return *missing || *libs;
}
