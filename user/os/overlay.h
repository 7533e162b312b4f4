/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The layers of an overlay as /proc/PID/mountinfo names them. Pure: text in, paths out; hostile input. */
#ifndef OVERLAY_H
#define OVERLAY_H

#include <stdbool.h>
#include <stddef.h>

struct overlay {
	char rel[4096];        /* the file's path below each layer, with a slash in front */
	const char *options;   /* into the text, escaped as there */
	size_t options_len;
};

/* Is there a file system of type overlay or the like below PATH (to be opened from here)? */
bool overlay__is_below(const char *path);

/* The mount that PATH is on, by the lines of MOUNTINFO. -ENOENT: no overlay; -ENAMETOOLONG. */
int overlay__find(const char *mountinfo, const char *path, struct overlay *out);

/* The Nth lower layer (0: the topmost) into OUT, unescaped. -ENOENT: no more; -ENAMETOOLONG. */
int overlay__lower(const struct overlay *o, size_t n, char *out, size_t out_size);

#endif
