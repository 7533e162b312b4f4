// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* record PYTHON FILE: starts PYTHON, waits until it sleeps in its program, and writes its memory to FILE for image.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"

enum { REGION_MAX_BYTES = 64 << 20, PAGE_BYTES = 4096 };

/* A bit of everything that the decoders know, few of each: what is in the image is read thousands of times a minute. */
static const char program[] =
	"import sys, collections, weakref, threading\n"
	"class Plain(object): pass\n"
	"class Slots(object):\n  __slots__ = ('a', 'b')\n"
	"class Sub(dict): pass\n"
	"class Meta(type): pass\n"
	"Made = Meta('Made', (Plain,), {'x': 1})\n"
	"def generator():\n  yield 1\n  yield 2\n"
	"keep = [Plain() for i in range(40)] + [Slots() for i in range(20)] + [Sub(a=1) for i in range(20)] + [Made(), Made]\n"
	"for i, k in enumerate(keep[:40]):\n  k.name = 'n%d' % i; k.others = [keep[0], k]\n"
	"keep += [set(range(i)) for i in range(40)] + [dict((str(j), j) for j in range(i)) for i in range(40)]\n"
	"keep += [collections.deque(range(i)) for i in (1, 100, 300)] + [bytearray(i) for i in (1, 300, 5000)]\n"
	"keep += [u'\\u20ac' * i for i in (1, 9, 600)] + ['x' * i for i in (1, 9, 600)] + [1 << i for i in (1, 70, 9000)]\n"
	"keep += [tuple(range(i)) for i in range(30)] + [list(range(i)) for i in (1, 60, 3000)] + [1.5, frozenset([1, 2])]\n"
	"keep += [weakref.ref(keep[0]), lambda: keep, generator(), ValueError('v')]\n"
	"next(keep[-2])\n"
	"keep.append(bytearray(300000))\n"
	"threading.Thread(target=lambda: sys.stdin.read()).start()\n"
	"sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
	"sys.stdin.read()\n";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* In and out are pipes: it ends with us. */
static pid_t start(const char *python, int *out)
{
	int in[2], ready[2];
	pid_t pid;

	if (pipe(in) || pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(ready[1], STDOUT_FILENO);
		close(in[1]);
		setenv("PYTHONHASHSEED", "0", 1);
		execl(python, python, "-S", "-E", "-c", program, NULL);
		die(python);
	}
	close(ready[1]);
	*out = ready[0];
	return pid;
}

static bool is_wanted(const struct proc_map *m, const struct py_interp *py)
{
	if (!m->r || m->x || m->end - m->start > REGION_MAX_BYTES)
		return false;
	return m->w || (m->start < py->module_end && m->end > py->module_start);
}

static int compare(const void *a, const void *b)
{
	const struct image_region *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void add_regions(struct image_header *h, const struct proc_maps *maps)
{
	for (size_t i = 0; i < maps->cnt && h->region_cnt < IMAGE_REGIONS_MAX; i++) {
		const struct proc_map *m = &maps->maps[i];
		struct image_region *r = &h->regions[h->region_cnt++];

		*r = (struct image_region){ m->start, m->end, is_wanted(m, &h->py) ? 0 : UINT64_MAX, m->r, m->w, m->x, !m->inode, "" };
		if (m->path && !m->inode)
			snprintf(r->name, sizeof(r->name), "%s", m->path);
	}
	qsort(h->regions, h->region_cnt, sizeof(h->regions[0]), compare);
}

/* Pages that cannot be read are zero. */
static void write_region(struct image_header *h, struct image_region *r, FILE *file)
{
	uint8_t page[PAGE_BYTES];

	if (r->file_off == UINT64_MAX)
		return;
	r->file_off = ftell(file);
	for (uint64_t at = r->start; at < r->end; at += sizeof(page)) {
		if (remote__read(&h->py.mem, at, page, sizeof(page)))
			memset(page, 0, sizeof(page));
		if (fwrite(page, sizeof(page), 1, file) != 1)
			die("write");
	}
}

static void record(pid_t pid, const char *path)
{
	struct image_header *h = calloc(1, sizeof(*h));
	struct proc_maps maps;
	char why[512];
	FILE *file;

	if (!h)
		die("memory");
	if (py_interp__open(&h->py, pid, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	if (procfs__maps(pid, &maps) || procfs__status(pid, &h->status))
		die("proc");
	memcpy(h->magic, IMAGE_MAGIC, sizeof(IMAGE_MAGIC));
	add_regions(h, &maps);
	proc_maps__free(&maps);
	file = fopen(path, "w");
	if (!file || fwrite(h, sizeof(*h), 1, file) != 1)
		die(path);
	for (uint32_t i = 0; i < h->region_cnt; i++)
		write_region(h, &h->regions[i], file);
	rewind(file);
	if (fwrite(h, sizeof(*h), 1, file) != 1 || fclose(file))
		die(path);
	py_interp__close(&h->py);
	free(h);
}

int main(int argc, char **argv)
{
	char line[8];
	pid_t pid;
	int out;

	if (argc != 3) {
		fprintf(stderr, "record PYTHON FILE\n");
		return 2;
	}
	pid = start(argv[1], &out);
	if (read(out, line, sizeof(line)) <= 0) {
		fprintf(stderr, "%s did not start\n", argv[1]);
		return 1;
	}
	record(pid, argv[2]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
