// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "overlay.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define OVERLAYFS_MAGIC 0x794c7630

bool overlay__is_below(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == OVERLAYFS_MAGIC;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* seq_escape() writes blanks, backslashes and the like as \ooo. Returns the length, or -ENAMETOOLONG. */
static int unescape(const char *in, size_t len, char *out, size_t out_size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; n++) {
		if (n + 1 >= out_size)
			return -ENAMETOOLONG;
		if (in[i] == '\\' && len - i >= 4 && is_octal(in[i + 1]) && is_octal(in[i + 2]) && is_octal(in[i + 3])) {
			out[n] = (in[i + 1] - '0') << 6 | (in[i + 2] - '0') << 3 | (in[i + 3] - '0');
			i += 4;
		} else {
			out[n] = in[i++];
		}
	}
	out[n] = '\0';
	return n;
}

struct field {
	const char *s;
	size_t len;
};

/* Blank-separated fields of one line; returns how many. */
static size_t split(const char *line, size_t len, struct field *out, size_t max)
{
	const char *end = line + len;
	size_t cnt = 0;

	while (line < end && cnt < max) {
		const char *blank = memchr(line, ' ', end - line);
		const char *stop = blank ? blank : end;

		out[cnt++] = (struct field){ line, stop - line };
		line = blank ? blank + 1 : end;
	}
	return cnt;
}

/* Is PATH below the directory DIR? Where the rest begins; NULL: it is not. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1 && *dir == '/')
		return path;
	return !strncmp(path, dir, len) && path[len] == '/' ? path + len : NULL;
}

enum { ROOT = 3, MOUNT_POINT = 4, OPTIONAL = 6, FIELDS_MAX = 32 };

/* 36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options */
static int take_line(const char *line, size_t len, const char *path, size_t *best, struct overlay *out)
{
	struct field f[FIELDS_MAX];
	size_t cnt = split(line, len, f, FIELDS_MAX), dash = OPTIONAL;
	char point[4096], root[4096];
	const char *rest;
	int n;

	while (dash < cnt && !(f[dash].len == 1 && *f[dash].s == '-'))
		dash++;
	if (dash + 3 >= cnt || unescape(f[MOUNT_POINT].s, f[MOUNT_POINT].len, point, sizeof(point)) < 0)
		return 0;
	rest = below(path, point);
	/* Of two mounts at the same place the later covers the earlier. */
	if (!rest || strlen(point) < *best)
		return 0;
	*best = strlen(point);
	out->options = NULL;
	if (f[dash + 1].len != 7 || memcmp(f[dash + 1].s, "overlay", 7) != 0)
		return 0;
	if (unescape(f[ROOT].s, f[ROOT].len, root, sizeof(root)) < 0)
		return -ENAMETOOLONG;
	n = snprintf(out->rel, sizeof(out->rel), "%s%s", strcmp(root, "/") ? root : "", rest);
	if (n < 0 || (size_t)n >= sizeof(out->rel))
		return -ENAMETOOLONG;
	out->options = f[dash + 3].s;
	out->options_len = f[dash + 3].len;
	return 0;
}

int overlay__find(const char *mountinfo, const char *path, struct overlay *out)
{
	size_t best = 0;
	int err = 0;

	out->options = NULL;
	while (*mountinfo && !err) {
		size_t len = strcspn(mountinfo, "\n");

		err = take_line(mountinfo, len, path, &best, out);
		mountinfo += len + (mountinfo[len] == '\n');
	}
	return err ?: out->options ? 0 : -ENOENT;
}

static bool has_prefix(const char *s, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && !memcmp(s, prefix, strlen(prefix));
}

/* One layer of a list "a:b\134:c::d"; a colon in a name has a backslash in front, which is itself escaped as \134. */
static size_t layer_len(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && s[i] != ':') {
		if (len - i >= 5 && !memcmp(s + i, "\\134:", 5))
			i += 5;
		else
			i += len - i >= 2 && s[i] == '\\' && s[i + 1] == ':' ? 2 : 1;
	}
	return i;
}

/* What the mount's own escaping of colons and commas adds is taken away. */
static int layer_name(const char *s, size_t len, char *out, size_t out_size)
{
	int n = unescape(s, len, out, out_size), to = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		if (out[i] == '\\' && (out[i + 1] == ':' || out[i + 1] == ',' || out[i + 1] == '\\'))
			i++;
		out[to++] = out[i];
	}
	out[to] = '\0';
	return 0;
}

int overlay__lower(const struct overlay *o, size_t n, char *out, size_t out_size)
{
	const char *s = o->options, *end = s + o->options_len;

	while (s < end) {
		const char *comma = memchr(s, ',', end - s), *stop = comma ? comma : end;
		bool one = has_prefix(s, stop - s, "lowerdir+="), many = has_prefix(s, stop - s, "lowerdir=");

		for (s += one ? 10 : many ? 9 : stop - s; s < stop;) {
			size_t len = one ? (size_t)(stop - s) : layer_len(s, stop - s);

			if (len && !n--)
				return layer_name(s, len, out, out_size);
			s += len + (s + len < stop);
		}
		s = stop + (stop < end);
	}
	return -ENOENT;
}
