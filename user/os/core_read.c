// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Memory of a core, and of the files that it leaves out. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_id.h"
#include "core_state.h"
#include "fds.h"

/* What the core itself holds of the file's first page; false: nothing. */
static bool first_page(const struct core_file *core, const struct core_lib *lib, void *page)
{
	const struct core_segment *s = lib->first_segment != UINT32_MAX ? &core->segments[lib->first_segment] : NULL;

	return s && s->held_bytes >= BUILD_ID_PAGE_BYTES && !fds__read_at(core->fd, s->off, page, BUILD_ID_PAGE_BYTES);
}

/* A name from a core must not lead to anything that does something when it is opened. */
static int open_regular(const char *path, uint64_t *size)
{
	struct stat st;
	int fd;

	if (path[0] != '/')
		return -ENOENT;
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOEXEC;
	}
	*size = st.st_size;
	return fd;
}

void core_read__look_at_lib(struct core_file *core, struct core_lib *lib)
{
	unsigned char page[BUILD_ID_PAGE_BYTES] = { 0 }, in_core[BUILD_ID_PAGE_BYTES];
	struct build_id id;
	bool known, was_elf;
	int fd;

	if (lib->state != LIB_UNSEEN)
		return;
	known = first_page(core, lib, in_core);
	was_elf = known && build_id__of(in_core, &id);
	fd = open_regular(lib->path, &lib->size);
	if (fd < 0) {
		lib->err = fd;
		lib->state = fd != -ENOEXEC ? LIB_MISSING : was_elf ? LIB_OTHER : LIB_NO_ELF;
		return;
	}
	if (fds__read_at(fd, 0, page, lib->size < sizeof(page) ? lib->size : sizeof(page)) || !build_id__of(page, &id))
		lib->state = was_elf ? LIB_OTHER : LIB_NO_ELF;
	else if (known)
		lib->state = build_id__same(page, in_core) ? LIB_SAME : LIB_OTHER;
	else
		lib->state = lib->deleted ? LIB_OTHER : LIB_SAME;
	if (lib->state == LIB_SAME)
		lib->fd = fd;
	else
		close(fd);
}

/* Behind the file's end its last page is zeros. */
static int read_lib(struct core_file *core, struct core_lib *lib, uint64_t off, void *out, size_t size)
{
	uint64_t there, pages;

	core_read__look_at_lib(core, lib);
	pages = (lib->size + CORE_PAGE_BYTES - 1) / CORE_PAGE_BYTES * CORE_PAGE_BYTES;
	if (lib->state != LIB_SAME || off > pages || size > pages - off)
		return -EFAULT;
	there = off >= lib->size ? 0 : size < lib->size - off ? size : lib->size - off;
	memset((char *)out + there, 0, size - there);
	return fds__read_at(lib->fd, off, out, there);
}

/* At most SIZE bytes at AT of segment S; how many, or -errno. */
static ssize_t read_part(struct core_file *core, const struct core_segment *s, uint64_t at, void *out, size_t size)
{
	uint64_t bytes = s->end - s->start;
	int err;

	if (at < s->held_bytes) {
		size = size < s->held_bytes - at ? size : s->held_bytes - at;
		err = fds__read_at(core->fd, s->off + at, out, size);
	} else {
		size = size < bytes - at ? size : bytes - at;
		err = at < s->held_bytes + s->cut_bytes || s->w || !s->lib ? -EFAULT :
		      read_lib(core, &core->libs[s->lib - 1], s->file_off + at, out, size);
	}
	return err ? (err == -ENODATA ? -EFAULT : err) : (ssize_t)size;
}

int core_read__memory(struct core_file *core, uint64_t addr, void *out, size_t size)
{
	const struct core_segment *s;
	ssize_t n;

	while (size) {
		s = core_segments__at(core, addr);
		if (!s)
			return -EFAULT;
		n = read_part(core, s, addr - s->start, out, size);
		if (n < 0)
			return n;
		out = (char *)out + n;
		addr += n;
		size -= n;
	}
	return 0;
}
