// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* live_truth PID FILE: compares what is read from the process with what it wrote about itself (live_truth.py). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "object.h"
#include "python.h"
#include "str.h"

enum { WRONG_SHOWN = 20, TEXT_MAX = 16384, BUFFERS_MAX = 8, FRAMES_MAX = 64 };

struct frame {
	uint64_t code;
	int lasti;
};

struct run {
	struct py_interp py;
	struct frame frames[FRAMES_MAX];
	int frame_cnt, frame_at;
	bool in_stack; /* a frame was found: the next must follow */
	unsigned long checked, wrong;
	char line[1 << 20];
};

static void judge(struct run *r, bool right, const char *what, const char *got)
{
	r->checked++;
	if (right)
		return;
	r->wrong++;
	if (r->wrong <= WRONG_SHOWN)
		printf("wrong: %.300s\n  got: %s\n", what, got);
}

static uint64_t hex(const char *s)
{
	return s ? strtoull(s, NULL, 16) : 0;
}

static void unhex(const char *s, char *out, size_t out_size)
{
	size_t len = 0;
	unsigned int byte;

	while (s && len + 1 < out_size && sscanf(s, "%2x", &byte) == 1) {
		out[len++] = byte;
		s += 2;
	}
	out[len] = '\0';
}

static char *next(char **save)
{
	return strtok_r(NULL, " \n", save);
}

static void check_str(struct run *r, const char *what, char *save)
{
	uint64_t addr = hex(next(&save));
	char expected[TEXT_MAX], got[TEXT_MAX];
	int err;

	unhex(next(&save), expected, sizeof(expected));
	err = py_str__read(&r->py, addr, got, sizeof(got));
	judge(r, !err && !strcmp(expected, got), what, err ? strerror(-err) : got);
}

static void check_lines(struct run *r, const char *what, const struct py_code *code, char *save)
{
	int lasti = 0, line, cnt, found;
	char *run, got[80];

	while ((run = next(&save))) {
		if (sscanf(run, "%d:%d", &line, &cnt) != 2)
			exit(2);
		for (; cnt > 0; cnt--, lasti += 2) {
			found = py_code__line(code, lasti);
			snprintf(got, sizeof(got), "line %d at %d, not %d", found, lasti, line);
			judge(r, found == line, what, got);
		}
	}
	judge(r, py_code__line(code, -1) == code->first_line, what, "not the first line at -1");
}

static void check_code(struct run *r, const char *what, char *save)
{
	uint64_t addr = hex(next(&save));
	char filename[TEXT_MAX], name[TEXT_MAX];
	struct py_code code;
	int err;

	unhex(next(&save), filename, sizeof(filename));
	unhex(next(&save), name, sizeof(name));
	err = py_code__read(&r->py, addr, &code);
	judge(r, !err, what, strerror(-err));
	if (err)
		return;
	judge(r, !strcmp(code.filename, filename), what, code.filename);
	judge(r, !strcmp(code.name, name), what, code.name);
	check_lines(r, what, &code, save);
	py_code__free(&code);
}

static void check_type(struct run *r, const char *what, char *save)
{
	uint64_t addr = hex(next(&save)), stamp = 0, again = 1;
	char expected[TEXT_MAX], got[TEXT_MAX];
	int err;

	unhex(next(&save), expected, sizeof(expected));
	err = py_type__name(&r->py, addr, got, sizeof(got), &stamp);
	judge(r, !err && !strcmp(expected, got), what, err ? strerror(-err) : got);
	err = py_type__stamp(&r->py, addr, &again);
	judge(r, !err && stamp == again, what, "another stamp");
}

static void check_obj(struct run *r, const char *what, char *save)
{
	uint64_t addr = hex(next(&save)), pre = strtoull(next(&save), NULL, 10), size = strtoull(next(&save), NULL, 10);
	uint64_t type = hex(next(&save)), got_type = 0;
	uint32_t got_off = 0;
	char got[120];
	int err;

	err = py_block__object(&r->py, addr - pre, size, NULL, 0, &got_type, &got_off);
	snprintf(got, sizeof(got), "%s type %llx at %u", strerror(-err), (unsigned long long)got_type, got_off);
	judge(r, !err && got_type == type && got_off == pre, what, got);
}

static void check_no_object(struct run *r, const char *what, uint64_t addr, uint64_t size)
{
	uint64_t type = 0;
	uint32_t off;
	char name[200] = "an object";

	if (!py_block__object(&r->py, addr, size, NULL, 0, &type, &off)) {
		py_type__name(&r->py, type, name, sizeof(name), NULL);
		judge(r, false, what, name);
	} else {
		judge(r, true, what, "");
	}
}

static void check_buf(struct run *r, const char *what, char *save)
{
	uint64_t object = hex(next(&save)), type = hex(next(&save));
	struct owned_buffer bufs[BUFFERS_MAX];
	char *use = next(&save), got[120];
	uint64_t addr = hex(next(&save)), size = strtoull(next(&save), NULL, 10), limit;
	bool tells = use[0] != '-', found = false;
	enum block_use seen;
	size_t cnt;

	for (char *c = use; *c; c++)
		if (*c == '_')
			*c = ' ';
	use += !tells;
	cnt = py_object__buffers(&r->py, object, type, bufs, BUFFERS_MAX);
	for (size_t i = 0; i < cnt; i++)
		if (bufs[i].addr == addr)
			found = !*use || !strcmp(block_use__name(bufs[i].use), use);
	snprintf(got, sizeof(got), "%zu buffers, not this one", cnt);
	judge(r, found, what, got);
	check_no_object(r, what, addr, size);
	/* Up to 3.10 a list of 9 in a block of 80 may be the values of a split table of 10. */
	limit = r->py.minor <= 10 && (size == 72 || size == 328) ? size : (size + 15) / 16 * 16;
	for (uint64_t rounded = size; tells && rounded <= limit; rounded += 8) {
		seen = py_block__use(&r->py, addr, rounded);
		snprintf(got, sizeof(got), "%s (%s), size %llu", block_use__name(seen), use, (unsigned long long)rounded);
		judge(r, !strcmp(block_use__name(seen), use), what, got);
	}
}

static void check_nobuf(struct run *r, const char *what, char *save)
{
	uint64_t object = hex(next(&save)), type = hex(next(&save));
	struct owned_buffer bufs[BUFFERS_MAX];
	char got[80];
	size_t cnt;

	cnt = py_object__buffers(&r->py, object, type, bufs, BUFFERS_MAX);
	snprintf(got, sizeof(got), "%zu buffers, the first is of %s", cnt, cnt ? block_use__name(bufs[0].use) : "");
	judge(r, !cnt, what, got);
}

static void check_neg(struct run *r, const char *what, char *save)
{
	uint64_t addr = hex(next(&save));

	check_no_object(r, what, addr, strtoull(next(&save), NULL, 10));
}

static void check_version(struct run *r, const char *what, char *save)
{
	judge(r, !strcmp(r->py.version, next(&save)), what, r->py.version);
}

static void check_gc(struct run *r, const char *what, char *save)
{
	struct py_gc_stats stats = { 0 };
	int err = py_interp__gc_stats(&r->py, &stats);

	for (int i = 0; i < 3; i++)
		judge(r, !err && stats.collections[i] == strtoull(next(&save), NULL, 10), what, "other counts");
}

static void check_collects(struct run *r, const char *what, char *save)
{
	struct py_gc_mode mode = { 0 };
	int err = py_interp__gc_mode(&r->py, &mode);

	judge(r, !err && mode.collects == (strtoul(next(&save), NULL, 10) != 0), what, err ? "unknown" : "the contrary");
	judge(r, !err && (mode.last_frozen == r->py.gc_lists[3]) == (strtoul(next(&save), NULL, 10) == 0), what, "frozen objects");
}

static uint64_t read_word(const struct run *r, uint64_t addr)
{
	uint64_t value;

	return remote__read_u64(&r->py.mem, addr, &value) ? 0 : value;
}

/* The walk that the BPF side does, with nothing but the walk layout. */
static uint64_t take_frame(struct run *r, const struct walk_layout *w, uint64_t frame)
{
	unsigned char window[FRAME_WINDOW_BYTES];
	struct frame *f = &r->frames[r->frame_cnt];
	uint64_t back, prev_instr;

	if (remote__read(&r->py.mem, frame + w->frame_window_off, window, sizeof(window)))
		return 0;
	memcpy(&f->code, window + w->frame_code_off, sizeof(f->code));
	memcpy(&back, window + w->frame_back_off, sizeof(back));
	if (w->lasti_kind == LASTI_POINTER) {
		memcpy(&prev_instr, window + w->frame_lasti_off, sizeof(prev_instr));
		f->lasti = prev_instr - f->code - w->code_instr_off;
	} else {
		memcpy(&f->lasti, window + w->frame_lasti_off, sizeof(f->lasti));
		f->lasti *= w->lasti_kind == LASTI_UNITS ? 2 : 1;
	}
	if (w->frame_owner_cstack == WALK_NONE || window[w->frame_owner_off] != w->frame_owner_cstack)
		r->frame_cnt++;
	return back;
}

static void check_thread(struct run *r, const char *what, char *save)
{
	uint64_t id = hex(next(&save)), tstate = read_word(r, r->py.threads_head_addr), frame;
	struct walk_layout w;

	py_interp__walk_layout(&r->py, &w);
	r->frame_cnt = r->frame_at = 0;
	r->in_stack = false;
	while (tstate && read_word(r, tstate + w.tstate_thread_id_off) != id)
		tstate = read_word(r, tstate + w.tstate_next_off);
	judge(r, tstate != 0, what, "no such thread");
	frame = read_word(r, tstate + w.tstate_frame_off);
	if (w.cframe_current_off != WALK_NONE)
		frame = read_word(r, frame + w.cframe_current_off);
	/* The target waits in a C function, or in Python's threading.py that it has entered since. */
	while (frame && r->frame_cnt < FRAMES_MAX)
		frame = take_frame(r, &w, frame);
}

static void check_frame(struct run *r, const char *what, char *save)
{
	char filename[TEXT_MAX], name[TEXT_MAX], got[300] = "no more frames";
	int line, found;
	struct py_code code;

	unhex(next(&save), filename, sizeof(filename));
	unhex(next(&save), name, sizeof(name));
	line = atoi(next(&save));
	/* The first one told of is below what the thread has called to wait: skip that. */
	while (r->frame_at < r->frame_cnt) {
		struct frame *f = &r->frames[r->frame_at++];
		bool same;

		if (py_code__read(&r->py, f->code, &code))
			break;
		found = py_code__line(&code, f->lasti);
		snprintf(got, sizeof(got), "%.150s:%d %.100s", code.filename, found, code.name);
		same = !strcmp(code.filename, filename) && !strcmp(code.name, name) && found == line;
		py_code__free(&code);
		if (same) {
			r->in_stack = true;
			judge(r, true, what, got);
			return;
		}
		if (r->in_stack)
			break;
	}
	judge(r, false, what, got);
}

static void check_end_of_thread(struct run *r, const char *what, char *save)
{
	(void)save;
	judge(r, r->frame_at == r->frame_cnt, what, "more frames");
}

static void check_line(struct run *r)
{
	static const struct {
		const char *kind;
		void (*check)(struct run *r, const char *what, char *save);
	} kinds[] = {
		{ "str", check_str }, { "code", check_code }, { "type", check_type }, { "obj", check_obj },
		{ "buf", check_buf }, { "nobuf", check_nobuf }, { "neg", check_neg },
		{ "version", check_version }, { "gc", check_gc }, { "collects", check_collects }, { "thread", check_thread },
		{ "frame", check_frame }, { "end-of-thread", check_end_of_thread },
	};
	char what[200], *save, *kind;

	snprintf(what, sizeof(what), "%.190s", r->line);
	kind = strtok_r(r->line, " \n", &save);
	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].kind, kind) != 0)
			continue;
		kinds[i].check(r, what, save);
		return;
	}
	judge(r, false, what, "an unknown kind of fact");
}

int main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	char why[512] = "";
	FILE *f;
	int err;

	if (!r || argc != 3)
		return 2;
	f = fopen(argv[2], "r");
	if (!f)
		return 2;
	err = py_interp__open(&r->py, atoi(argv[1]), why, sizeof(why));
	if (err) {
		printf("%s\n", why);
		return 2;
	}
	judge(r, r->py.names.types == NAMES_TRUE && r->py.names.codes == NAMES_TRUE, "names at the first look", r->py.names.doubt);
	while (fgets(r->line, sizeof(r->line), f))
		check_line(r);
	printf("%s: %lu checked, %lu wrong\n", r->py.version, r->checked, r->wrong);
	err = r->wrong || !r->checked;
	py_interp__close(&r->py);
	fclose(f);
	free(r);
	return err;
}
