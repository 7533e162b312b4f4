// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* live_heap PYTHON: reads the heap of an interpreter that runs live_heap.py, and compares it with what that knows of itself. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap.h"
#include "held.h"
#include "heap_state.h"
#include "module.h"
#include "procfs.h"
#include "python.h"

enum { SLOTS, OTHER, ATTRIBUTES, MAPPING, FLOAT, TUPLE, WATCHED, TYPES_CNT, WRONG_SHOWN = 20 };

struct target {
	pid_t pid;
	int to;
	FILE *from, *statistics;
	uint64_t counters, fresh, types[TYPES_CNT];
};

struct run {
	struct target target;
	struct py_interp py;
	struct heap *heap;
	const char *allocator;
	unsigned long checked, wrong, torn, same_place, totals;
};

static void judge(struct run *r, bool right, const char *what, long long got, long long expected)
{
	r->checked++;
	if (right)
		return;
	r->wrong++;
	if (r->wrong <= WRONG_SHOWN)
		printf("wrong: %s: %lld, not %lld\n", what, got, expected);
}

static void equal(struct run *r, const char *what, long long got, long long expected)
{
	judge(r, got == expected, what, got, expected);
}

static void die(const char *what)
{
	printf("%s\n", what);
	exit(2);
}

static void start(struct target *t, const char *python, const char *program)
{
	int in[2], out[2];

	t->statistics = tmpfile();
	if (!t->statistics || pipe(in) || pipe(out))
		die("pipe");
	t->pid = fork();
	if (!t->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(fileno(t->statistics), 2);
		close(in[1]);
		close(out[0]);
		execl(python, python, program, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	t->to = in[1];
	t->from = fdopen(out[0], "r");
	if (fscanf(t->from, "%lx %lx", &t->counters, &t->fresh) != 2)
		die("the target failed");
	for (int i = 0; i < TYPES_CNT; i++)
		if (fscanf(t->from, "%lx", &t->types[i]) != 1)
			die("the target failed");
	while (getc(t->from) != '\n')
		;
}

static void tell(struct target *t, char letter)
{
	if (write(t->to, &letter, 1) != 1)
		die("the target does not listen");
}

static void hear(struct target *t)
{
	int c;

	while ((c = getc(t->from)) != '\n')
		if (c == EOF)
			die("the target ended");
}

/* What it has heard last was said from within a call, whose arguments are objects, too. */
static void wait_until_it_waits(const struct target *t)
{
	char path[64], line[64];
	int number, fd;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", t->pid);
	do {
		f = fopen(path, "r");
		if (!f || !fgets(line, sizeof(line), f))
			die("the target ended");
		fclose(f);
	} while (sscanf(line, "%d %x", &number, &fd) != 2 || number != SYS_read || fd != 0);
}

static void ask_to_begin(struct run *r, char letter)
{
	if (ftruncate(fileno(r->target.statistics), 0))
		die("ftruncate");
	rewind(r->target.statistics);
	tell(&r->target, letter);
	hear(&r->target);
}

static void ask(struct run *r, char letter)
{
	ask_to_begin(r, letter);
	wait_until_it_waits(&r->target);
}

static uint64_t counter(struct run *r, int i)
{
	uint64_t value = 0;

	if (remote__read_u64(&r->py.mem, r->target.counters + 8 * i, &value))
		die("no counters");
	return value;
}

static struct heap_kind kind(struct run *r, int type)
{
	const struct heap_kind *kinds;
	size_t cnt = heap__kinds(r->heap, &kinds);

	for (size_t i = 0; i < cnt; i++)
		if (kinds[i].type == r->target.types[type])
			return kinds[i];
	return (struct heap_kind){ .type = r->target.types[type] };
}

static struct heap_stats read_heap(struct run *r)
{
	struct heap_stats stats;

	equal(r, "a reading", heap__read(r->heap), 0);
	heap__stats(r->heap, &stats);
	return stats;
}

/* Blocks one by one, the sums of kinds and the total must be the same heap. */
static void compare_ways(struct run *r, const struct heap_stats *stats)
{
	const struct heap_kind *kinds;
	size_t cnt = heap__kinds(r->heap, &kinds);
	long long live = 0, bytes = 0, in_kinds = 0, not_found = 0, wrong_begin = 0;
	struct heap_block b, same;

	for (struct heap_iter it = { 0 }; heap__next(r->heap, &it, &b);) {
		live++;
		bytes += b.bytes;
		not_found += !heap__find(r->heap, b.addr, &same) || memcmp(&b, &same, sizeof(b));
		not_found += !heap__at(r->heap, b.addr + b.bytes - 1, &same) || memcmp(&b, &same, sizeof(b));
		wrong_begin += heap__find(r->heap, b.addr + 1, &same) || (heap__at(r->heap, b.addr - 1, &same) && same.addr >= b.addr);
	}
	for (size_t i = 0; i < cnt; i++)
		in_kinds += kinds[i].live;
	equal(r, "blocks by heap__next", live, stats->live);
	equal(r, "bytes by heap__next", bytes, stats->live_bytes);
	equal(r, "blocks in kinds", in_kinds, stats->live);
	equal(r, "blocks not found again", not_found, 0);
	equal(r, "blocks found where none begins", wrong_begin, 0);
}

/*
 * What the interpreter itself counts, by size class: "class   size   num pools   blocks in use  avail blocks", a line of dashes, numbers.
 * sys.getallocatedblocks() has the blocks above 512 bytes in its sum, too.
 */
static void compare_classes(struct run *r)
{
	long long live[513] = { 0 }, classes = 0;
	unsigned int class, size, pools, in_use;
	struct heap_block b;
	char line[200];

	for (struct heap_iter it = { 0 }; heap__next(r->heap, &it, &b);)
		live[b.bytes <= 512 ? b.bytes : 0]++;
	rewind(r->target.statistics);
	while (fgets(line, sizeof(line), r->target.statistics)) {
		if (sscanf(line, "%u %u %u %u", &class, &size, &pools, &in_use) != 4 || size > 512)
			continue;
		classes++;
		snprintf(line, sizeof(line), "blocks of %u bytes", size);
		equal(r, line, live[size], in_use);
		live[size] = 0;
	}
	for (size_t i = 0; i < 513; i++)
		if (r->py.major > 2)
			equal(r, "blocks in a size that is not in use", live[i], 0);
	judge(r, classes > 10 || r->py.major < 3, "size classes", classes, 10);
}

/* Where the interpreter's file tells where its own counts are. */
static void compare_totals(struct run *r, const struct heap_stats *stats)
{
	uint64_t arenas = module__symbol(&r->py, "arenas"), max = module__symbol(&r->py, "maxarenas");
	uint64_t raw = module__symbol(&r->py, "raw_allocated_blocks"), at, live = 0;
	struct { uint64_t address, pool_address; } arena;
	uint32_t cnt, count;

	if (counter(r, 0) && raw && !remote__read_u64(&r->py.mem, raw, &at)) {
		equal(r, "sys.getallocatedblocks()", stats->live + at, counter(r, 0));
		r->totals++;
	}
	if (counter(r, 0) || !arenas || !max || remote__read(&r->py.mem, max, &cnt, 4) || remote__read_u64(&r->py.mem, arenas, &at))
		return;
	for (; cnt; cnt--, at += 48) {
		if (remote__read(&r->py.mem, at, &arena, sizeof(arena)) || !arena.address)
			continue;
		for (uint64_t pool = (arena.address + 4095) / 4096 * 4096; pool < arena.pool_address; pool += 4096)
			live += remote__read(&r->py.mem, pool, &count, 4) ? 0 : count;
	}
	equal(r, "blocks in arenas", stats->live, live);
	r->totals++;
}

/* Quiet from the moment it has said so, until it is told the next thing. */
static struct heap_stats read_quiet(struct run *r)
{
	struct heap_stats stats = read_heap(r);

	equal(r, "torn", stats.torn, 0);
	equal(r, "partial", stats.partial, 0);
	compare_classes(r);
	compare_totals(r, &stats);
	compare_ways(r, &stats);
	return stats;
}

static void check_marks(struct run *r)
{
	struct heap_kind floats, tuples, k;

	ask(r, 's');
	read_quiet(r);
	floats = kind(r, FLOAT);
	tuples = kind(r, TUPLE);
	equal(r, "marks before there are any", kind(r, SLOTS).live, 0);
	ask(r, 'm');
	read_quiet(r);
	k = kind(r, SLOTS);
	equal(r, "slots", k.live, 5000);
	equal(r, "slots, old", k.old, 0);
	equal(r, "slots, fresh", k.fresh, 5000);
	equal(r, "attributes", kind(r, ATTRIBUTES).live, 3000);
	equal(r, "mappings", kind(r, MAPPING).live, 2000);
	/* 2.7 takes the memory of floats from malloc, many at once. */
	equal(r, "floats", kind(r, FLOAT).live - floats.live, r->py.major < 3 ? 0 : 4000);
	equal(r, "tuples", kind(r, TUPLE).live - tuples.live, 6000);
}

static void touch_fresh(struct run *r)
{
	/* Blocks begin with what debug hooks put there, and the collector's head. */
	uint64_t addr, head = r->py.gc_head_bytes + (r->allocator[0] ? 16 : 0);

	for (uint64_t i = 0; i < counter(r, 3); i++) {
		if (remote__read_u64(&r->py.mem, r->target.fresh + 8 * i, &addr))
			die("no list");
		heap__touch(r->heap, addr - head);
	}
}

static void check_change(struct run *r)
{
	struct heap_kind k;

	heap__free(r->heap);
	r->heap = heap__new(&r->py);
	ask(r, 's');
	read_quiet(r);
	k = kind(r, SLOTS);
	equal(r, "slots of the first reading, old", k.old, 5000);
	read_quiet(r);
	k = kind(r, SLOTS);
	equal(r, "slots of a second reading, old", k.old, 5000);
	equal(r, "slots of a second reading, fresh", k.fresh, 0);
	ask(r, 'd');
	touch_fresh(r);
	read_quiet(r);
	k = kind(r, SLOTS);
	equal(r, "slots left", k.live, counter(r, 1));
	equal(r, "slots left, old", k.old, counter(r, 1) - counter(r, 3));
	equal(r, "slots left, fresh", k.fresh, counter(r, 3));
	k = kind(r, OTHER);
	equal(r, "others", k.live, counter(r, 2));
	equal(r, "others, old", k.old, 0);
	equal(r, "others, fresh", k.fresh, counter(r, 2));
	read_quiet(r);
	k = kind(r, OTHER);
	equal(r, "others a reading later, fresh", k.fresh, 0);
}

static void check_classes_that_pass(struct run *r)
{
	uint64_t before = 0, type = 0, same_place = 0, tags = r->heap->types.cnt;
	const struct heap_kind *kinds;
	size_t cnt;

	for (int i = 0; i < 5; i++, before = type) {
		ask(r, 'x');
		read_quiet(r);
		if (remote__read_u64(&r->py.mem, r->target.fresh, &type))
			die("no list");
		same_place += type == before;
		cnt = heap__kinds(r->heap, &kinds);
		while (cnt && kinds->type != type) {
			kinds++;
			cnt--;
		}
		equal(r, "instances of a class that took another one's place", cnt ? kinds->live : 0, 100);
		equal(r, "of these, fresh", cnt ? kinds->fresh : 0, 100);
	}
	/* A number is free again a reading after its type is gone. */
	judge(r, r->heap->types.cnt <= tags + 2, "numbers of types", r->heap->types.cnt, tags);
	r->same_place += same_place;
}

/* Readings become one by pairs; the first, and the order, must not be lost. */
static void check_many_readings(struct run *r)
{
	struct heap_kind slots = kind(r, SLOTS), k;
	struct heap_block b, before = { 0 };

	for (struct heap_iter it = { 0 }; heap__next(r->heap, &it, &b);)
		if (b.type == r->target.types[OTHER])
			before = b;
	judge(r, before.since > 1, "a block that is not old", before.since, 2);
	r->heap->since_end = r->heap->since_now + 3;
	for (int i = 0; i < 20; i++) {
		read_heap(r);
		k = kind(r, SLOTS);
		equal(r, "old after many readings", k.old, slots.old);
		equal(r, "fresh after many readings", k.fresh, 0);
		equal(r, "still there", heap__find(r->heap, before.addr, &b), true);
		judge(r, b.since >= before.since && b.since < r->heap->stats.readings, "since", b.since, before.since);
	}
	heap__touch(r->heap, before.addr);
	equal(r, "still there", heap__find(r->heap, before.addr, &b), true);
	equal(r, "since, once touched", b.since, r->heap->stats.readings + 1);
	read_quiet(r);
	equal(r, "still there", heap__find(r->heap, before.addr, &b), true);
	equal(r, "since, once touched and read", b.since, r->heap->stats.readings);
}

static void check_limit(struct run *r)
{
	struct heap_options few = { .max_bytes = 1 << 20 }, any = { 0 };
	struct heap_stats whole = read_quiet(r), stats;

	heap__set_options(r->heap, &few);
	stats = read_heap(r);
	equal(r, "partial", stats.partial, 1);
	equal(r, "blocks that are known still", stats.live, whole.live);
	heap__free(r->heap);
	r->heap = heap__new(&r->py);
	heap__set_options(r->heap, &few);
	stats = read_heap(r);
	equal(r, "partial", stats.partial, 1);
	equal(r, "bytes within the limit", stats.pools_bytes, 1 << 20);
	heap__set_options(r->heap, &any);
	read_quiet(r);
}

/* Marks are in no free list, whatever else goes on in their pools. */
static void check_churn(struct run *r)
{
	struct heap_stats quiet = read_quiet(r), stats;
	struct heap_kind slots = kind(r, SLOTS), attributes = kind(r, ATTRIBUTES), mappings = kind(r, MAPPING);
	struct heap_kind k;

	ask_to_begin(r, 'c');
	for (int i = 0; i < 50; i++) {
		stats = read_heap(r);
		r->torn += stats.torn;
		k = kind(r, SLOTS);
		equal(r, "slots in a churn", k.live, slots.live);
		equal(r, "slots in a churn, old", k.old, slots.old);
		equal(r, "attributes in a churn", kind(r, ATTRIBUTES).live, attributes.live);
		equal(r, "mappings in a churn, old", kind(r, MAPPING).old, mappings.old);
		judge(r, stats.cpu_ns < 5 * quiet.cpu_ns + 200000000, "time for a reading", stats.cpu_ns, quiet.cpu_ns);
		judge(r, stats.live > quiet.live - 1000 && stats.live < quiet.live + 50000, "live in a churn", stats.live, quiet.live);
	}
	ask(r, 's');
	read_quiet(r);
}

static void check_false_pools(struct run *r)
{
	struct heap_stats before = read_quiet(r), stats;
	struct heap_kind slots;

	slots = kind(r, SLOTS);
	ask(r, 'h');
	stats = read_heap(r);
	equal(r, "objects in lists of free ones", kind(r, SLOTS).live - slots.live, 2 * 200);
	equal(r, "torn", stats.torn, counter(r, 1));
	judge(r, stats.live < before.live + counter(r, 2) + 1000 && stats.live >= before.live + counter(r, 2) - 1000,
	      "live with wrong pools", stats.live, before.live + counter(r, 2));
	ask(r, 't');
	stats = read_heap(r);
	equal(r, "partial, as there are too many types", stats.partial, 1);
	judge(r, stats.cpu_ns < 10000000000, "time for a reading", stats.cpu_ns, 10000000000);
}

/* How many blocks with objects of a type that came after the first reading hold only each other. */
static int garbage_of(struct run *r, int type, int *of)
{
	uint64_t blocks[1024];
	bool garbage[1024];
	struct heap_block b;
	int found = 0, cnt = 0;

	for (struct heap_iter it = { 0 }; heap__next(r->heap, &it, &b) && cnt < 1024;)
		if (b.type == r->target.types[type] && b.since > 1)
			blocks[cnt++] = b.addr;
	if (heap__garbage(r->heap, &r->py, blocks, cnt, UINT64_MAX, garbage))
		die("who holds them cannot be told");
	for (int i = 0; i < cnt; i++)
		found += garbage[i];
	*of = cnt;
	return found;
}

static void check_garbage(struct run *r)
{
	bool garbage[1];
	uint64_t none[1] = { 0 };
	int found, cnt;

	heap__free(r->heap);
	r->heap = heap__new(&r->py);
	ask(r, 's');
	read_heap(r);
	ask(r, 'g');
	read_heap(r);
	/* A buffer may still have an address of earlier use; and what debug hooks put around blocks hides where objects begin: then all are taken for held. */
	found = garbage_of(r, SLOTS, &cnt);
	judge(r, found >= (r->allocator[0] ? 0 : 360), "garbage that was found", found, cnt);
	equal(r, "garbage", cnt, 400);
	equal(r, "garbage among what is held", garbage_of(r, OTHER, &cnt), 0);
	equal(r, "what is held", cnt, 400);
	/* by a list of libc's, of which nothing is seen; and by weak references, which do not count */
	equal(r, "garbage among what is held and watched", garbage_of(r, WATCHED, &cnt), 0);
	equal(r, "what is held and watched", cnt, 400);
	equal(r, "more than may be read", heap__garbage(r->heap, &r->py, none, 1, 1000, garbage), -E2BIG);
	equal(r, "no block", heap__garbage(r->heap, &r->py, none, 1, UINT64_MAX, garbage), 0);
	equal(r, "no block is garbage", garbage[0], false);
	ask(r, 's');
	read_heap(r);
}

static void check_python(struct run *r)
{
	struct heap_stats stats;

	check_marks(r);
	check_change(r);
	check_many_readings(r);
	check_classes_that_pass(r);
	for (int i = 0; i < 8; i++) {
		ask(r, 'r');
		read_quiet(r);
	}
	check_limit(r);
	check_garbage(r);
	check_churn(r);
	stats = read_quiet(r);
	printf("%s, %s: heap of %lu blocks\n", r->py.version, r->allocator[0] ? r->allocator : "pymalloc", stats.live);
	check_false_pools(r);
}

/* ALLOCATOR: as in PYTHONMALLOC. */
static void check(struct run *r, const char *python, const char *program, const char *allocator)
{
	char why[512] = "";

	if (allocator)
		setenv("PYTHONMALLOC", allocator, 1);
	else
		unsetenv("PYTHONMALLOC");
	r->allocator = allocator ? allocator : "";
	start(&r->target, python, program);
	if (py_interp__open(&r->py, r->target.pid, why, sizeof(why)))
		die(why);
	r->heap = heap__new(&r->py);
	if (allocator && !strcmp(allocator, "malloc"))
		equal(r, "a reading without pools", heap__read(r->heap), -ENODATA);
	else
		check_python(r);
	tell(&r->target, 'q');
	waitpid(r->target.pid, NULL, 0);
	equal(r, "a reading of what has ended", heap__read(r->heap), -ESRCH);
	heap__free(r->heap);
	py_interp__close(&r->py);
	close(r->target.to);
	fclose(r->target.from);
	fclose(r->target.statistics);
}

int main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	int wrong;

	if (!r || argc != 3)
		return 2;
	check(r, argv[1], argv[2], NULL);
	if (r->py.major > 2) {
		check(r, argv[1], argv[2], "pymalloc_debug");
		check(r, argv[1], argv[2], "malloc");
	}
	printf("%lu torn, %lu types in the place of others, %lu totals, %lu checked, %lu wrong\n", r->torn, r->same_place, r->totals,
	       r->checked, r->wrong);
	wrong = r->wrong || !r->checked;
	free(r);
	return wrong;
}
