// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "mem_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNLIMITED (UINT64_MAX / 4) /* v1 writes LONG_MAX, rounded to pages, for none */

static bool has_word(const char *s, const char *end, const char *word)
{
	size_t len = strlen(word);

	for (const char *next; s < end; s = next + 1) {
		next = memchr(s, ',', end - s);
		next = next ? next : end;
		if ((size_t)(next - s) == len && !memcmp(s, word, len))
			return true;
	}
	return false;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* seq_escape() writes blanks, backslashes and the like as \ooo. */
static bool unescape(const char *in, size_t len, char *out, size_t out_size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; n++) {
		if (n + 1 >= out_size)
			return false;
		if (in[i] == '\\' && len - i >= 4 && is_octal(in[i + 1]) && is_octal(in[i + 2]) && is_octal(in[i + 3])) {
			out[n] = (in[i + 1] - '0') << 6 | (in[i + 2] - '0') << 3 | (in[i + 3] - '0');
			i += 4;
		} else {
			out[n] = in[i++];
		}
	}
	if (n == 1 && *out == '/')
		n = 0;
	out[n] = '\0';
	return true;
}

/* The field after the next blank, and its length; NULL: the line ends before. */
static const char *next_field(const char *at, const char *end, size_t *len)
{
	const char *blank = at ? memchr(at, ' ', end - at) : NULL, *stop;

	if (!blank)
		return NULL;
	at = blank + 1;
	stop = memchr(at, ' ', end - at);
	*len = (stop ? stop : end) - at;
	return at;
}

/* 36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options */
static bool parse_mount(const char *line, size_t line_len, struct mem_cgroup_mount *out)
{
	const char *end = line + line_len, *at = line, *dash = memmem(line, line_len, " - ", 3), *root, *point;
	size_t len, root_len, point_len;

	for (int i = 0; i < 2; i++)
		at = next_field(at, end, &len);
	root = next_field(at, end, &root_len);
	point = next_field(root, end, &point_len);
	if (!point || !dash || dash < point)
		return false;
	at = next_field(dash + 1, end, &len); /* the type */
	if (!at)
		return false;
	out->v2 = len == 7 && !memcmp(at, "cgroup2", 7);
	if (!out->v2) {
		if (len != 6 || memcmp(at, "cgroup", 6))
			return false;
		at = next_field(next_field(at, end, &len), end, &len); /* the source, the options */
		if (!at || !has_word(at, at + len, "memory"))
			return false;
	}
	return unescape(root, root_len, out->root, sizeof(out->root)) && unescape(point, point_len, out->point, sizeof(out->point));
}

void mem_cgroups__parse(const char *mountinfo, struct mem_cgroups *out)
{
	out->cnt = 0;
	while (*mountinfo && out->cnt < MEM_CGROUP_MOUNTS_MAX) {
		size_t len = strcspn(mountinfo, "\n");

		if (parse_mount(mountinfo, len, &out->mounts[out->cnt]))
			out->cnt++;
		mountinfo += len + (mountinfo[len] == '\n');
	}
}

/* The process's cgroup: that of v1's hierarchy if memory belongs to one, else that of v2. */
static bool find_path(const char *text, bool *v2, char *out, size_t out_size)
{
	bool found = false;

	for (size_t len; *text; text += len + (text[len] == '\n')) {
		const char *end, *names, *path;

		len = strcspn(text, "\n");
		end = text + len;
		names = memchr(text, ':', len);
		path = names ? memchr(names + 1, ':', end - names - 1) : NULL;
		if (!path)
			continue;
		*v2 = path == names + 1 && names == text + 1 && *text == '0';
		if (!*v2 && !has_word(names + 1, path, "memory"))
			continue;
		if ((size_t)(end - path) > out_size)
			return false;
		memcpy(out, path + 1, end - path - 1);
		out[end - path - 1] = '\0';
		found = true;
		if (!*v2)
			return true;
	}
	*v2 = true;
	return found;
}

/* What is left of PATH below ROOT; NULL: it is not below it, or who knows. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (strncmp(path, root, len) || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	return !strncmp(path, "/..", 3) && (!path[3] || path[3] == '/') ? NULL : path;
}

/* A file of a few lines, NUL-terminated. 0 or -errno. */
static int read_file(int dir_fd, const char *name, char *out, size_t out_size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, out + len, out_size - 1 - len);
		if (n > 0)
			len += n;
	} while (n > 0 && len < out_size - 1);
	close(fd);
	out[len] = '\0';
	return n < 0 ? -EIO : 0;
}

static int parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || (*end && *end != '\n') ? -EINVAL : 0;
}

/* *VALUE is UINT64_MAX where no limit is set, or none can be. */
static int read_limit(int dir_fd, const char *name, uint64_t *value)
{
	char text[64];
	int err = read_file(dir_fd, name, text, sizeof(text));

	*value = UINT64_MAX;
	if (err)
		return err == -ENOENT ? 0 : err;
	if (!strcmp(text, "max\n"))
		return 0;
	err = parse_number(text, value);
	if (!err && *value >= UNLIMITED)
		*value = UINT64_MAX;
	return err;
}

/* What counts towards the limit and cannot be dropped. */
static int read_used(int dir_fd, bool v2, uint64_t *used)
{
	const char *key = v2 ? "\ninactive_file " : "\ntotal_inactive_file ", *at;
	char text[16384] = "\n";
	uint64_t inactive;
	int err;

	err = read_file(dir_fd, v2 ? "memory.current" : "memory.usage_in_bytes", text, sizeof(text));
	err = err ?: parse_number(text, used);
	if (err)
		return err;
	text[0] = '\n';
	err = read_file(dir_fd, "memory.stat", text + 1, sizeof(text) - 1);
	if (err)
		return err;
	at = strstr(text, key);
	if (!at)
		return -EINVAL;
	inactive = strtoull(at + strlen(key), NULL, 10);
	*used -= inactive < *used ? inactive : *used;
	return 0;
}

/* Before 5.11 a v1 cgroup may leave those below it alone. */
static bool counts_children(int dir_fd)
{
	char text[8];

	return read_file(dir_fd, "memory.use_hierarchy", text, sizeof(text)) || strcmp(text, "0\n") != 0;
}

struct visit {
	bool v2;
	void (*on_limit)(void *ctx, const struct mem_cgroup_limit *limit);
	void *ctx;
};

static int visit_dir(const struct visit *v, int dir_fd, bool own)
{
	uint64_t max, high = UINT64_MAX, used = 0;
	struct stat st;
	int err;

	if (!v->v2 && !own && !counts_children(dir_fd))
		return 0;
	err = read_limit(dir_fd, v->v2 ? "memory.max" : "memory.limit_in_bytes", &max);
	if (!err && v->v2)
		err = read_limit(dir_fd, "memory.high", &high);
	if (err || (max == UINT64_MAX && high == UINT64_MAX))
		return err;
	err = fstat(dir_fd, &st) ? -errno : read_used(dir_fd, v->v2, &used);
	for (int i = 0; i < 2 && !err; i++) {
		uint64_t bytes = i ? high : max;
		const struct mem_cgroup_limit limit = { i, bytes, bytes > used ? bytes - used : 0, st.st_ino };

		if (bytes != UINT64_MAX)
			v->on_limit(v->ctx, &limit);
	}
	return err;
}

/* Not that of a namespace: kernel/cgroup/cgroup.c has cgroup.type everywhere but there, cgroup-v1.c release_agent only there. */
static bool is_very_root(int dir_fd, bool v2)
{
	return v2 == (faccessat(dir_fd, v2 ? "cgroup.type" : "release_agent", F_OK, 0) != 0);
}

/* From PATH up to where the mount begins, POINT_LEN bytes of it. */
static enum mem_cgroup_seen visit_up(const struct visit *v, char *path, size_t point_len)
{
	enum mem_cgroup_seen seen = MEM_CGROUP_NOTHING;
	bool top = false, root, own = true;
	int fd, err;

	while (!top) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return seen;
		err = visit_dir(v, fd, own);
		top = strlen(path) <= point_len;
		root = top && is_very_root(fd, v->v2);
		close(fd);
		if (err)
			return seen;
		seen = root ? MEM_CGROUP_ALL : MEM_CGROUP_PART;
		own = false;
		if (!top)
			*strrchr(path, '/') = '\0';
	}
	return seen;
}

/* Where cgroup OWN is below that mount; false: it is not there, or too long. */
static bool dir_of(const struct mem_cgroup_mount *m, const char *root, const char *own, char *out, size_t out_size)
{
	const char *rest = below(own, m->root);
	int n;

	if (!rest)
		return false;
	while (*rest == '/')
		rest++;
	n = snprintf(out, out_size, "%s%s%s%s", root, m->point, *rest ? "/" : "", rest);
	return n >= 0 && (size_t)n < out_size;
}

enum mem_cgroup_seen mem_cgroup__limits(const struct mem_cgroups *mounts, const char *root, const char *text,
					void (*on_limit)(void *ctx, const struct mem_cgroup_limit *limit), void *ctx)
{
	struct visit v = { .on_limit = on_limit, .ctx = ctx };
	char own[4096], path[8192];

	if (!find_path(text, &v.v2, own, sizeof(own)))
		return MEM_CGROUP_NONE;
	for (size_t i = 0; i < mounts->cnt; i++) {
		const struct mem_cgroup_mount *m = &mounts->mounts[i];
		enum mem_cgroup_seen seen;

		if (m->v2 != v.v2 || !dir_of(m, root, own, path, sizeof(path)))
			continue;
		seen = visit_up(&v, path, strlen(root) + strlen(m->point));
		if (seen != MEM_CGROUP_NOTHING)
			return seen;
	}
	return MEM_CGROUP_NOTHING;
}

int mem_cgroups__v2_dir(const struct mem_cgroups *mounts, const char *text, char *out, size_t out_size)
{
	const char *line = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
	char own[4096];
	size_t len;

	if (!line)
		return -ENOENT;
	line += *line == '\n';
	len = strcspn(line, "\n") - 3;
	if (len >= sizeof(own))
		return -ENAMETOOLONG;
	memcpy(own, line + 3, len);
	own[len] = '\0';
	for (size_t i = 0; i < mounts->cnt; i++)
		if (mounts->mounts[i].v2 && dir_of(&mounts->mounts[i], "", own, out, out_size))
			return 0;
	return -ENOENT;
}
