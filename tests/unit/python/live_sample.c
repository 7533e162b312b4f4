// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * live_sample PYTHON PROGRAM: reads a part of the heap of an interpreter that runs tests/e2e/programs/mass.py, with one seed after the other, and how
 * often the intervals hold what is there in truth, as a reading of the whole says.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"
#include "python.h"

enum {
	OBJECTS = 200000,
	SEEDS = 300,
	COMMON = 20000, /* objects that make a type one of which much is promised */
	TYPES_MAX = 64,
};

struct truth {
	char name[64];
	double objects, bytes;
	int sampled, held, bytes_held;
	double sum, squares; /* of all estimates, by the truth */
};

static struct truth truths[TYPES_MAX];
static int truth_cnt, wrong, checked;

static void die(const char *what)
{
	printf("%s\n", what);
	exit(2);
}

static pid_t start(const char *python, const char *program, const char *allocator, FILE **from)
{
	int in[2], out[2];
	pid_t pid;

	if (pipe(in) || pipe(out))
		die("pipe");
	pid = fork();
	if (!pid) {
		setenv("PYTHONMALLOC", allocator, 1);
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execl(python, python, program, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	*from = fdopen(out[0], "r");
	dprintf(in[1], "mixed %d\n", OBJECTS);
	return pid;
}

static void wait_for(FILE *from, const char *word)
{
	char line[128];

	while (fgets(line, sizeof(line), from))
		if (!strncmp(line, word, strlen(word)))
			return;
	die("the target failed");
}

static void judge(bool right, const char *what, const char *name, double got)
{
	checked++;
	if (right)
		return;
	wrong++;
	printf("wrong: %s of %s: %g\n", what, name, got);
}

static void read_truth(struct census *c)
{
	const struct census_row *rows;
	size_t cnt;

	truth_cnt = 0;
	census__set_options(c, &(struct census_options){ 0 });
	if (census__read(c))
		die("cannot read it");
	cnt = census__rows(c, &rows);
	for (size_t i = 0; i < cnt && truth_cnt < TYPES_MAX; i++) {
		if (!rows[i].type || rows[i].is_buffer || rows[i].objects < COMMON)
			continue;
		truths[truth_cnt] = (struct truth){ .objects = rows[i].objects, .bytes = rows[i].bytes };
		snprintf(truths[truth_cnt++].name, sizeof(truths[0].name), "%s", rows[i].type);
	}
}

static struct truth *truth_of(const char *name)
{
	for (int i = 0; i < truth_cnt; i++)
		if (name && !strcmp(truths[i].name, name))
			return &truths[i];
	return NULL;
}

static void read_sample(struct census *c, uint64_t seed)
{
	const struct census_row *rows;
	struct truth *t;
	size_t cnt;

	census__set_options(c, &(struct census_options){ .sample = 0.05, .seed = seed });
	if (census__read(c))
		die("cannot read it");
	cnt = census__rows(c, &rows);
	for (size_t i = 0; i < cnt; i++) {
		t = truth_of(rows[i].type);
		if (!t)
			continue;
		t->sampled++;
		t->sum += rows[i].objects / t->objects;
		t->squares += rows[i].objects / t->objects * (rows[i].objects / t->objects);
		t->held += fabs(rows[i].objects - t->objects) <= rows[i].objects_error;
		t->bytes_held += fabs(rows[i].bytes - t->bytes) <= rows[i].bytes_error;
	}
}

/* So many of SEEDS are right by chance at most, and at least, where 93 to 97 % should be. */
static bool is_good(int held)
{
	double by_chance = 3 * sqrt(0.05 * 0.95 * SEEDS);

	return held >= 0.93 * SEEDS - by_chance && held <= 0.97 * SEEDS + by_chance;
}

/* The mean of SEEDS estimates is as near to the truth as their own scatter lets expect: which pools there are differs from start to start. */
static bool is_unbiased(const struct truth *t)
{
	double mean = t->sum / SEEDS, variance = fmax(t->squares / SEEDS - mean * mean, 0);

	return fabs(mean - 1) < 0.002 + 5 * sqrt(variance / SEEDS);
}

static void check(const char *python, const char *program, const char *allocator)
{
	struct py_interp py;
	struct census *c;
	char why[256];
	FILE *from;
	pid_t pid = start(python, program, allocator, &from);
	double all = 0;

	wait_for(from, "ready");
	wait_for(from, "done");
	if (py_interp__open(&py, pid, why, sizeof(why)))
		die(why);
	c = census__new(&py);
	if (!c)
		die("memory");
	read_truth(c);
	judge(truth_cnt >= 6, "number", "common types", truth_cnt);
	for (int i = 0; i < SEEDS; i++)
		read_sample(c, i * 7919 + 1);
	for (int i = 0; i < truth_cnt; i++) {
		const struct truth *t = &truths[i];

		judge(t->sampled == SEEDS, "samples", t->name, t->sampled);
		judge(is_good(t->held), "intervals that hold the objects", t->name, t->held / (double)SEEDS);
		judge(is_good(t->bytes_held), "intervals that hold the bytes", t->name, t->bytes_held / (double)SEEDS);
		judge(is_unbiased(t), "mean", t->name, t->sum / SEEDS);
		all += t->held;
	}
	all /= SEEDS * (double)(truth_cnt ? truth_cnt : 1);
	judge(all >= 0.92 && all <= 0.98, "intervals that hold the objects", "all types", all);
	printf("%s: %.1f %% of the intervals hold\n", allocator, 100 * all);
	census__free(c);
	py_interp__close(&py);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fclose(from);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	check(argv[1], argv[2], "pymalloc");
	check(argv[1], argv[2], "malloc");
	printf("%d checked, %d wrong\n", checked, wrong);
	return wrong || !checked;
}
