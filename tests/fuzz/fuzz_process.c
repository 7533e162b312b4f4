// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Everything that reads an interpreter, over the recorded memory of a real one that lies (image.h). What is asked of /proc is answered from the
 * recording by the linker's --wrap; the code under test is what the program has.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "census.h"
#include "code.h"
#include "graph.h"
#include "heap.h"
#include "image.h"
#include "layout.h"
#include "object.h"
#include "pagemap.h"
#include "refs.h"
#include "runtime.h"
#include "str.h"
#include "tls.h"
#include "witness.h"

enum { SAMPLES = 64, CHAINS = 64 };

static struct image image; /* read-only once loaded */
static uint64_t swap_bytes; /* what the status says: by the input */

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path = getenv("FUZZ_IMAGE");

	(void)argc;
	(void)argv;
	image__load(&image, path ? path : FUZZ_IMAGE_PATH);
	return 0;
}

/* ---- /proc, as it was ---- */

int __wrap_procfs__maps(pid_t pid, struct proc_maps *out);
int __wrap_procfs__status(pid_t pid, struct proc_status *out);
int __wrap_procfs__memory(pid_t pid, struct proc_memory *out);
int __wrap_procfs__run_ns(pid_t pid, uint64_t *ns);
int __wrap_pagemap__open(struct pagemap *p, pid_t pid);
int __wrap_pagemap__next(struct pagemap *p, struct page_range *out);

int __wrap_procfs__maps(pid_t pid, struct proc_maps *out)
{
	(void)pid;
	*out = (struct proc_maps){ .maps = calloc(image.header->region_cnt, sizeof(*out->maps)) };
	must(out->maps);
	for (uint32_t i = 0; i < image.header->region_cnt; i++) {
		const struct image_region *r = &image.header->regions[i];

		out->maps[out->cnt++] = (struct proc_map){ .start = r->start, .end = r->end, .r = r->r, .w = r->w, .x = r->x,
							   .inode = !r->anonymous, .path = *r->name ? strdup(r->name) : NULL };
	}
	return 0;
}

int __wrap_procfs__status(pid_t pid, struct proc_status *out)
{
	(void)pid;
	*out = image.header->status;
	out->swap_bytes = swap_bytes;
	return 0;
}

int __wrap_procfs__memory(pid_t pid, struct proc_memory *out)
{
	(void)pid;
	*out = (struct proc_memory){ .rss_bytes = 3 << 20, .anon_bytes = 1 << 20, .stack_bytes = 1 << 20, .file_bytes = 1 << 20 };
	return 0;
}

int __wrap_procfs__run_ns(pid_t pid, uint64_t *ns)
{
	(void)pid;
	*ns = 0;
	return 0;
}

int __wrap_pagemap__open(struct pagemap *p, pid_t pid)
{
	(void)pid;
	*p = (struct pagemap){ .fd = -1, .scan = true };
	return 0;
}

/* All that was recorded is there; with swap, every 16th page is not. */
int __wrap_pagemap__next(struct pagemap *p, struct page_range *out)
{
	uint64_t end;

	if (p->at >= p->end)
		return 0;
	end = swap_bytes && p->end - p->at > 15 << 12 ? p->at + (15 << 12) : p->end;
	if (p->cnt++ % 2 && swap_bytes)
		end = p->at + (1 << 12);
	*out = (struct page_range){ p->at, end, swap_bytes && end == p->at + (1 << 12) };
	p->at = end;
	return 1;
}

/* ---- what is read ---- */

static void read_census(const struct py_interp *py, int times)
{
	struct census *c = census__new(py);
	const struct census_row *rows;
	struct census_stats stats;
	size_t cnt;

	must(c);
	for (int i = 0; i < times && !census__read(c); i++) {
		cnt = census__rows(c, &rows);
		for (size_t k = 0; k < cnt; k++)
			must(rows[k].objects >= 0 && rows[k].bytes >= 0 && rows[k].owned_bytes >= rows[k].bytes);
		census__stats(c, &stats);
		must(memchr(stats.note, '\0', sizeof(stats.note)));
	}
	census__free(c);
}

static void read_heap(const struct py_interp *py)
{
	const struct heap_kind *kinds;
	struct heap *h = heap__new(py);
	struct heap_iter it = { 0 };
	struct heap_block block, found;
	struct heap_stats stats;
	size_t cnt;
	int64_t live = 0;

	must(h);
	for (int i = 0; i < 2; i++)
		heap__read(h);
	heap__stats(h, &stats);
	cnt = heap__kinds(h, &kinds);
	for (size_t i = 0; i < cnt; i++)
		live += kinds[i].live;
	must(live == (int64_t)stats.live);
	while (heap__next(h, &it, &block)) {
		must(heap__find(h, block.addr, &found) && found.type == block.type);
		live--;
	}
	must(!live);
	heap__free(h);
}

static const char *const asked[] = { "dict", "function", "list items", "str", "type", "frame", "(buffer)", "tuple" };

/* Who refers to what: on the way everything that has a name is named. */
static void read_graph(const struct py_interp *py, uint32_t which)
{
	const struct refs_query query = { .type = asked[which % (sizeof(asked) / sizeof(asked[0]))], .show_values = true };
	struct refs_chain *chains = calloc(CHAINS, sizeof(*chains));
	struct refs_referrer referrers[8];
	struct graph *g = graph__new(py);
	struct refs *refs = NULL;
	uint64_t objects = 0;
	char *names = NULL;
	size_t cnt;

	must(g && chains);
	if (!graph__read(g) && !refs__new(g, &query, &refs, &names)) {
		cnt = refs__chains(refs, chains, CHAINS);
		must(cnt && cnt <= CHAINS);
		for (size_t i = 0; i < cnt; i++) {
			must(chains[i].parts_cnt <= REFS_PARTS_MAX);
			for (size_t k = 0; k < chains[i].parts_cnt; k++)
				must(chains[i].parts[k].text);
			objects += chains[i].objects;
		}
		must(objects <= refs__objects(refs));
		must(refs__referrers(refs, referrers, 8) <= 8);
	}
	free(names);
	refs__free(refs);
	graph__free(g);
	free(chains);
}

static void read_runtime(struct py_interp *py)
{
	char text[512] = "";
	const struct reason why = { text, sizeof(text) };
	struct py_freelists lists;
	struct py_gc_stats stats;

	runtime__find(py, &why);
	must(memchr(text, '\0', sizeof(text)));
	py_interp__freelists(py, &lists);
	py_interp__gc_stats(py, &stats);
	py_interp__other_gils(py);
	tls__current_tstate(py, py->interp_addr);
}

static void read_names(const struct py_interp *py)
{
	struct py_names names = { 0 };

	for (int i = 0; i < 2; i++)
		witness__ask(py, &names);
	must(memchr(names.doubt, '\0', sizeof(names.doubt)));
}

static void read_object(const struct py_interp *py, uint64_t addr)
{
	struct owned_buffer buffers[4];
	struct py_code code;
	uint64_t type, stamp;
	char text[256];
	uint32_t off;

	if (!py_code__read(py, addr, &code)) {
		for (int lasti = -2; lasti < 64; lasti += 2)
			must(py_code__line(&code, lasti) >= 0);
		py_code__position(py, &code, 4, true);
		py_code__free(&code);
	}
	py_str__read(py, addr, text, sizeof(text));
	py_type__name(py, addr, text, sizeof(text), &stamp);
	py_block__use(py, addr, 512);
	if (!py_block__object(py, addr, 512, NULL, 0, &type, &off))
		must(py_object__buffers(py, addr + off, type, buffers, 4) <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t what = input__number(&in, 1);
	uint32_t first = input__number(&in, 3);
	struct py_interp py;
	struct liar liar;

	swap_bytes = what & 0x80 ? 1 << 20 : 0;
	liar__init(&liar, &image, &in);
	liar__interp(&liar, &py);
	switch (what % 8) {
	case 0:
	case 1:
		read_census(&py, 1 + what % 2);
		break;
	case 2:
		read_heap(&py);
		break;
	case 3:
		read_runtime(&py);
		break;
	case 4:
		read_names(&py);
		break;
	case 5:
		read_graph(&py, first);
		break;
	default:
		for (uint32_t i = 0; i < SAMPLES; i++)
			read_object(&py, image__address(&image, first + i * 2));
		break;
	}
	return 0;
}
