// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * live_spoilt PID FILE: opens a process with layouts in which one offset is wrong, each offset by each of some distances and swapped
 * with its neighbour, and asks for names. Refused, doubted, unreadable, or the truth where that offset does not matter; none may be another
 * name than what the process wrote about itself (live_truth.py). The same with the witnesses silenced must give wrong names, else this
 * test would find nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "object.h"
#include "python.h"
#include "spoil.h"

enum { FACTS_MAX = 4000, PER_KIND = 60, TEXT_MAX = 4096, SHOWN = 30, ASKED = 5 };

enum kind { KIND_TYPE, KIND_CODE, KIND_OBJ, KIND_CNT };
static const char *const kinds[KIND_CNT] = { "type", "code", "obj" };

struct fact {
	enum kind kind;
	uint64_t addr, size, type; /* of a block that holds an object */
	char *name, *file, *lines;
	bool only_named; /* not asked for */
};

static const int shifts[] = { 0 /* swapped with the next one */, -24, -16, -8, -4, -1, 1, 4, 8, 16, 24 };

static char *unhex(const char *s)
{
	char *out = calloc(1, TEXT_MAX);
	unsigned int byte;

	for (size_t n = 0; out && s && n + 1 < TEXT_MAX && sscanf(s, "%2x", &byte) == 1; s += 2)
		out[n++] = byte;
	return out;
}

static bool read_fact(char *line, struct fact *fact)
{
	char *save, *kind = strtok_r(line, " \n", &save);

	*fact = (struct fact){ .kind = KIND_CNT };
	for (int i = 0; kind && i < KIND_CNT; i++)
		if (!strcmp(kind, kinds[i]))
			fact->kind = i;
	if (fact->kind == KIND_CNT)
		return false;
	fact->addr = strtoull(strtok_r(NULL, " \n", &save), NULL, 16);
	if (fact->kind == KIND_OBJ) {
		fact->addr -= strtoull(strtok_r(NULL, " \n", &save), NULL, 10); /* what is in front of it */
		fact->size = strtoull(strtok_r(NULL, " \n", &save), NULL, 10);
		fact->type = strtoull(strtok_r(NULL, " \n", &save), NULL, 16);
		return true;
	}
	if (fact->kind == KIND_CODE)
		fact->file = unhex(strtok_r(NULL, " \n", &save));
	fact->name = unhex(strtok_r(NULL, " \n", &save));
	fact->lines = strdup(save ? save : "");
	return true;
}

static void free_fact(struct fact *fact)
{
	free(fact->name);
	free(fact->file);
	free(fact->lines);
}

static const char *name_of_type(const struct fact *facts, size_t cnt, uint64_t type)
{
	for (size_t i = 0; i < cnt; i++)
		if (facts[i].kind == KIND_TYPE && facts[i].addr == type)
			return facts[i].name;
	return NULL;
}

/* All types, and of the rest some from everywhere: each kind is counted first. */
static size_t read_facts(FILE *f, struct fact *facts)
{
	static char line[1 << 20];
	size_t in_file[KIND_CNT] = {}, seen[KIND_CNT] = {}, cnt = 0, objects = 0;
	struct fact fact;

	while (fgets(line, sizeof(line), f))
		for (int i = 0; i < KIND_CNT; i++)
			in_file[i] += !strncmp(line, kinds[i], strlen(kinds[i])) && line[strlen(kinds[i])] == ' ';
	rewind(f);
	while (fgets(line, sizeof(line), f) && cnt < FACTS_MAX) {
		if (!read_fact(line, &fact))
			continue;
		fact.only_named = seen[fact.kind]++ % (in_file[fact.kind] / PER_KIND + 1);
		if (fact.only_named && fact.kind != KIND_TYPE) {
			free_fact(&fact);
			continue;
		}
		facts[cnt++] = fact;
	}
	/* What an object is called is known by its type. */
	for (size_t i = 0; i < cnt; i++) {
		const char *name = facts[i].kind == KIND_OBJ ? name_of_type(facts, cnt, facts[i].type) : NULL;

		if (name) {
			facts[i].name = strdup(name);
			objects++;
		}
	}
	return objects ? cnt : 0;
}

static int judge_lines(const struct py_code *code, const char *lines, char *got, size_t size)
{
	int lasti = 0, line, cnt, used;

	for (; sscanf(lines, "%d:%d%n", &line, &cnt, &used) == 2; lines += used) {
		for (; cnt > 0; cnt--, lasti += 2) {
			int found = py_code__line(code, lasti);

			if (!found || found == line)
				continue;
			snprintf(got, size, "line %d, not %d of %.100s", found, line, code->name);
			return -1;
		}
	}
	return 1;
}

static int judge_code(const struct py_interp *py, const struct fact *fact, char *got, size_t size)
{
	struct py_code code;
	int verdict;

	if (py_code__read(py, fact->addr, &code))
		return 0;
	snprintf(got, size, "%.200s in %.200s", code.name, code.filename);
	verdict = strcmp(code.name, fact->name) || strcmp(code.filename, fact->file) ? -1 : judge_lines(&code, fact->lines, got, size);
	py_code__free(&code);
	return verdict;
}

/* As the tool does it: an object's type, or what a block that is none is for. */
static int judge_block(const struct py_interp *py, const struct fact *fact, char *got, size_t size)
{
	uint64_t type;
	uint32_t off;

	if (!fact->name)
		return 0;
	if (py_block__object(py, fact->addr, fact->size, NULL, 0, &type, &off)) {
		snprintf(got, size, "%s", block_use__name(py_block__use(py, fact->addr, fact->size)));
		return -1;
	}
	if (py_type__name(py, type, got, size, NULL))
		return 0;
	return strcmp(got, fact->name) ? -1 : 1;
}

/* 1: right, 0: unknown, -1: wrong. */
static int judge(const struct py_interp *py, const struct fact *fact, char *got, size_t size)
{
	if (fact->kind == KIND_CODE)
		return py->names.codes == NAMES_TRUE ? judge_code(py, fact, got, size) : 0;
	if (py->names.types != NAMES_TRUE)
		return 0;
	if (fact->kind == KIND_OBJ)
		return judge_block(py, fact, got, size);
	if (py_type__name(py, fact->addr, got, size, NULL))
		return 0;
	return strcmp(got, fact->name) ? -1 : 1;
}

struct tally {
	unsigned long right, unknown, wrong, wrong_unheard, opened, refused, doubted;
};

/* Returns how many are wrong. */
static unsigned long judge_all(const struct py_interp *py, const struct fact *facts, size_t cnt, struct tally *t, char *first, size_t size)
{
	unsigned long wrong = 0;
	char got[TEXT_MAX];

	*first = '\0';
	for (size_t n = 0; n < cnt; n++) {
		int verdict = facts[n].only_named ? 0 : judge(py, &facts[n], got, sizeof(got));

		if (facts[n].only_named)
			continue;
		t->right += verdict > 0;
		t->unknown += verdict == 0;
		if (verdict < 0 && !wrong++)
			snprintf(first, size, "%s %.120s, not %.60s", kinds[facts[n].kind], got, facts[n].name);
	}
	return wrong;
}

static void try_one(pid_t pid, const struct fact *facts, size_t cnt, struct tally *t)
{
	struct tally unheard = {};
	char why[512], first[300];
	struct py_interp py;
	unsigned long wrong;

	if (py_interp__open(&py, pid, why, sizeof(why))) {
		t->refused++;
		return;
	}
	for (int i = 0; i < ASKED && !py_interp__check_names(&py); i++)
		;
	t->opened++;
	t->doubted += py.names.types != NAMES_TRUE || py.names.codes != NAMES_TRUE;
	wrong = judge_all(&py, facts, cnt, t, first, sizeof(first));
	if (wrong && t->wrong < SHOWN)
		printf("  %s%+d: %lu wrong: %s\n", spoilt_field < FIELDS ? fields[spoilt_field].name : "nothing", spoilt_shift, wrong, first);
	t->wrong += wrong;
	if (*py.names.doubt) {
		py.names.types = py.names.codes = NAMES_TRUE;
		t->wrong_unheard += judge_all(&py, facts, cnt, &unheard, first, sizeof(first));
	}
	py_interp__close(&py);
}

int main(int argc, char **argv)
{
	static struct fact facts[FACTS_MAX];
	FILE *f = argc == 3 ? fopen(argv[2], "r") : NULL;
	pid_t pid = argc == 3 ? atoi(argv[1]) : 0;
	struct tally sound = {}, t = {};
	size_t cnt = f ? read_facts(f, facts) : 0;

	if (!cnt)
		return 2;
	try_one(pid, facts, cnt, &sound);
	for (spoilt_field = 0; spoilt_field < FIELDS; spoilt_field++) {
		for (size_t k = 0; k < sizeof(shifts) / sizeof(shifts[0]); k++) {
			struct py_layout l = *sound_layout;

			spoilt_shift = shifts[k];
			if (spoil(&l))
				try_one(pid, facts, cnt, &t);
		}
	}
	printf("spoilt: %lu refused, %lu of %lu doubted; of names %lu right, %lu unknown, %lu wrong (unheard witnesses: %lu)\n", t.refused, t.doubted,
	       t.opened, t.right, t.unknown, t.wrong, t.wrong_unheard);
	fclose(f);
	for (size_t i = 0; i < cnt; i++)
		free_fact(&facts[i]);
	return sound.wrong || sound.doubted || !sound.right || t.wrong || !t.wrong_unheard;
}
