// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "proc_select.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "procfs.h"

#define PIDS_MAX (1u << 22) /* PID_MAX_LIMIT */

static bool path_is_below(const char *path, size_t len, const char *prefix)
{
	size_t want = strlen(prefix);

	while (want && prefix[want - 1] == '/')
		want--;
	return len >= want && !memcmp(path, prefix, want) && (len == want || path[want] == '/');
}

bool cgroup__is_below(const char *text, size_t len, const char *prefix)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', end - text), *stop = newline ? newline : end;
		const char *path = memchr(text, ':', stop - text);

		path = path ? memchr(path + 1, ':', stop - path - 1) : NULL;
		if (path && path_is_below(path + 1, stop - path - 1, prefix))
			return true;
		text = stop + 1;
	}
	return false;
}

static int fits_cgroup(const struct selector *s, pid_t pid)
{
	char text[16384];
	ssize_t len;

	if (!s->cgroup)
		return 1;
	len = procfs__cgroup(pid, text, sizeof(text));
	return len < 0 ? (int)len : cgroup__is_below(text, len, s->cgroup);
}

int selector__matches(const struct selector *s, pid_t pid)
{
	struct proc_status st;
	int err = procfs__status(pid, &st);

	if (err)
		return err;
	if (!st.rss_bytes || st.state == 'Z' || st.state == 'X' || (s->by_uid && st.uid != s->uid))
		return 0;
	err = s->comm ? fnmatch(s->comm, st.comm, 0) : 0;
	if (err)
		return err == FNM_NOMATCH ? 0 : -EINVAL;
	return fits_cgroup(s, pid);
}

static int compare(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static pid_t pid_of(const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);

	return *name >= '1' && *name <= '9' && !*end && pid <= PIDS_MAX ? pid : 0;
}

int proc_select__list(pid_t **pids, size_t *cnt)
{
	DIR *dir = opendir("/proc");
	size_t capacity = 0;
	struct dirent *e;
	int err = 0;

	*pids = NULL;
	*cnt = 0;
	if (!dir)
		return -errno;
	while (!err && (e = readdir(dir))) {
		pid_t pid = pid_of(e->d_name);

		if (!pid)
			continue;
		if (*cnt == capacity) {
			pid_t *bigger = realloc(*pids, (capacity = capacity ? 2 * capacity : 256) * sizeof(*bigger));

			err = bigger ? 0 : -ENOMEM;
			*pids = bigger ? bigger : *pids;
		}
		if (!err)
			(*pids)[(*cnt)++] = pid;
	}
	closedir(dir);
	if (err) {
		free(*pids);
		*pids = NULL;
		*cnt = 0;
	}
	if (*cnt)
		qsort(*pids, *cnt, sizeof(**pids), compare);
	return err;
}

int proc_select__find(const struct selector *s, pid_t **pids, size_t *cnt)
{
	size_t all, kept = 0;
	int err = proc_select__list(pids, &all), fits;

	*cnt = 0;
	for (size_t i = 0; i < all && !err; i++) {
		fits = selector__matches(s, (*pids)[i]);
		if (fits == -EINVAL)
			err = fits;
		if (fits == 1)
			(*pids)[kept++] = (*pids)[i];
	}
	if (err) {
		free(*pids);
		*pids = NULL;
		return err;
	}
	*cnt = kept;
	return 0;
}
