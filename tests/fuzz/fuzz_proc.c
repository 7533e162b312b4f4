// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a process may choose of its texts in /proc: names, paths, cgroups, mounts. */
#include "container.h"
#include "input.h"
#include "mem_cgroup.h"
#include "overlay.h"
#include "proc_select.h"
#include "procfs.h"

static void parse_maps(char *text)
{
	struct proc_maps maps;
	uint64_t off;

	if (proc_maps__parse(text, &maps))
		return;
	for (size_t i = 0; i < maps.cnt; i++) {
		proc_maps__find(&maps, maps.maps[i].start);
		proc_maps__file_off(&maps, maps.maps[i].end - 1, &off);
	}
	proc_maps__free(&maps);
}

/* The first line is stat, the rest status. */
static void parse_status(char *text)
{
	char *rest = strchr(text, '\n');
	struct proc_status status = { 0 };

	if (rest)
		*rest++ = '\0';
	if (!proc_status__parse(text, rest ? rest : "", 1, &status))
		must(memchr(status.comm, '\0', sizeof(status.comm)));
}

static void parse_memory(char *text)
{
	struct proc_memory m;

	proc_memory__parse(text, &m);
	must(m.rss_bytes == m.anon_bytes + m.stack_bytes + m.file_bytes);
}

static void on_limit(void *ctx, const struct mem_cgroup_limit *limit)
{
	(void)ctx;
	(void)limit;
}

static void parse_cgroup(const struct input *in, const char *text)
{
	const struct mem_cgroups none = { .cnt = 0 };
	struct container c;
	char *bytes = input__bytes(in);

	if (container__parse(bytes, in->left, &c))
		must(memchr(c.id, '\0', sizeof(c.id)) && memchr(c.pod_uid, '\0', sizeof(c.pod_uid)) && memchr(c.runtime, '\0', sizeof(c.runtime)));
	cgroup__is_below(bytes, in->left, "/a/b/");
	mem_cgroup__limits(&none, "", text, on_limit, NULL);
	free(bytes);
}

static void parse_mounts(const char *text)
{
	struct mem_cgroups groups;
	struct overlay overlay;
	char layer[64];

	mem_cgroups__parse(text, &groups);
	must(groups.cnt <= MEM_CGROUP_MOUNTS_MAX);
	for (size_t i = 0; i < groups.cnt; i++)
		must(memchr(groups.mounts[i].point, '\0', sizeof(groups.mounts[i].point)));
	if (overlay__find(text, "/usr/bin/python3", &overlay))
		return;
	for (size_t i = 0; i < 16; i++)
		if (!overlay__lower(&overlay, i, layer, sizeof(layer)))
			must(memchr(layer, '\0', sizeof(layer)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t what = input__number(&in, 1);
	char *text = input__text(&in);

	switch (what % 5) {
	case 0:
		parse_maps(text);
		break;
	case 1:
		parse_status(text);
		break;
	case 2:
		parse_memory(text);
		break;
	case 3:
		parse_cgroup(&in, text);
		break;
	case 4:
		parse_mounts(text);
		break;
	}
	free(text);
	return 0;
}
