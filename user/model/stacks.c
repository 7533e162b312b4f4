// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intern.h"
#include "stacks.h"

_Static_assert(sizeof(struct frame) == 16, "frames are compared as bytes: no padding");

struct stacks {
	const struct intern *strings;
	struct intern *frames; /* a stack is the bytes of its frames */
	uint32_t *app;         /* by id: index of the app frame */
	uint32_t app_capacity;
};

struct stacks *stacks__new(const struct intern *strings)
{
	struct stacks *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->strings = strings;
	st->frames = intern__new();
	st->app = calloc(64, sizeof(*st->app));
	st->app_capacity = 64;
	if (!st->frames || !st->app) {
		stacks__free(st);
		return NULL;
	}
	return st;
}

void stacks__free(struct stacks *st)
{
	if (!st)
		return;
	intern__free(st->frames);
	free(st->app);
	free(st);
}

static uint32_t stacks__find_app(const struct stacks *st, const struct frame *frames, size_t cnt)
{
	enum file_origin best = FILE_LIBRARY;
	uint32_t found = 0;

	for (size_t i = 0; i < cnt && best != FILE_APP; i++) {
		enum file_origin origin = file__origin(intern__get(st->strings, frames[i].file, NULL));

		if (origin > best) {
			best = origin;
			found = (uint32_t)i;
		}
	}
	return found;
}

int stacks__id(struct stacks *st, const struct frame *frames, size_t cnt, uint32_t *id)
{
	uint32_t before = intern__cnt(st->frames), *app;
	int err;

	if (before == st->app_capacity) {
		app = realloc(st->app, (size_t)st->app_capacity * 2 * sizeof(*app));
		if (!app)
			return -ENOMEM;
		st->app = app;
		st->app_capacity *= 2;
	}
	err = intern__id(st->frames, frames, cnt * sizeof(*frames), id);
	if (!err && *id == before)
		st->app[*id] = stacks__find_app(st, frames, cnt);
	return err;
}

const struct frame *stacks__get(const struct stacks *st, uint32_t id, size_t *cnt)
{
	size_t size;
	const void *bytes = intern__get(st->frames, id, &size);

	*cnt = size / sizeof(struct frame);
	return bytes;
}

uint32_t stacks__cnt(const struct stacks *st)
{
	return intern__cnt(st->frames);
}

size_t stacks__app_frame(const struct stacks *st, uint32_t id)
{
	return id < intern__cnt(st->frames) ? st->app[id] : 0;
}

/* ".../lib/python3.11/", "/lib64/python3.13t/", "/lib/python311.zip/" */
static bool path__is_stdlib(const char *path)
{
	const char *p = path;

	while ((p = strstr(p, "/python3"))) {
		bool in_lib = (p - path >= 4 && !strncmp(p - 4, "/lib", 4)) || (p - path >= 6 && !strncmp(p - 6, "/lib64", 6));

		p += strlen("/python3");
		while (isdigit((unsigned char)*p) || *p == '.')
			p++;
		if (!strncmp(p, "zip/", 4)) /* its dot is taken */
			p += 3;
		while (*p == 't' || *p == 'd')
			p++;
		if (in_lib && *p == '/')
			return true;
	}
	return false;
}

enum file_origin file__origin(const char *file)
{
	if (!*file || !strncmp(file, "<frozen ", 8))
		return FILE_LIBRARY;
	if (*file == '<')
		return FILE_NO_FILE;
	if (strstr(file, "/site-packages/") || strstr(file, "/dist-packages/") || path__is_stdlib(file))
		return FILE_LIBRARY;
	return FILE_APP;
}
