// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A real interpreter that wants its witnesses to take long: what they read of it is bounded. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "python.h"
#include "witness.h"

/* The first module that is heard: functions with the right names, and a megabyte of lines each, which are read again and again. */
static const char program[] =
	"import sys, types, _frozen_importlib as m\n"
	"d = m.__dict__\n"
	"def f(): pass\n"
	"entry = bytes([0x80 | 15 << 3])\n"
	"lines = entry + b'\\x01' * 1000000 + entry * (len(f.__code__.co_code) // 2 - 1)\n"
	"for k, v in list(d.items()):\n"
	"    if isinstance(v, types.FunctionType): del d[k]\n"
	"for i in range(1900):\n"
	"    k = 'f%d' % i\n"
	"    d[k] = types.FunctionType(f.__code__.replace(co_linetable=lines, co_name=k, co_qualname=k, co_firstlineno=10,\n"
	"                                                 co_filename='<frozen importlib._bootstrap>'), d, k)\n"
	"print('ready', flush=True)\n"
	"sys.stdin.read()\n";

struct child {
	pid_t pid;
	int in, out;
};

/* False: this python3 is not 3.11 or later. */
static bool start(struct child *c)
{
	int in[2], out[2];
	char line[8];

	assert_int_equal(pipe(in) | pipe(out), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (!c->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		execl("/usr/bin/python3", "python3", "-c", program, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
	return read(c->out, line, sizeof(line)) > 0;
}

static void stop(struct child *c)
{
	close(c->in);
	close(c->out);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}

struct counting {
	struct remote process;
	uint64_t bytes;
};

static int count_and_read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	struct counting *c = (struct counting *)r->image;

	c->bytes += size;
	return remote__read(&c->process, addr, out, size);
}

static void many_functions_with_many_lines(void **state)
{
	struct py_names names = { 0 };
	struct counting counting;
	struct py_interp py;
	struct child c;
	char why[256];

	(void)state;
	if (!start(&c)) {
		stop(&c);
		skip();
	}
	assert_int_equal(py_interp__open(&py, c.pid, why, sizeof(why)), 0);
	counting = (struct counting){ .process = py.mem };
	py.mem = (struct remote){ .read = count_and_read, .image = &counting };
	witness__ask(&py, &names);
	assert_true(counting.bytes > 100 << 20); /* it is what this is about */
	assert_true(counting.bytes < 600 << 20);
	assert_int_not_equal(names.codes, NAMES_TRUE);
	py_interp__close(&py);
	stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_functions_with_many_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
