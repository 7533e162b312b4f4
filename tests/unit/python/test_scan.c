// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "scan.h"

#define PYTHON "/usr/bin/python3"

struct child {
	pid_t pid;
	int in;
};

/* PATH with -c CODE, which prints a byte when it is up and ends with its input. */
static struct child start(const char *path, const char *code)
{
	int in[2], out[2];
	struct child c;
	char byte;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c.pid = fork();
	if (!c.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(path, path, "-c", code, NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(read(out[0], &byte, 1), 1);
	close(out[0]);
	c.in = in[1];
	return c;
}

static void stop(struct child c)
{
	close(c.in);
	waitpid(c.pid, NULL, 0);
}

#define WAIT_PY "import sys; print(flush=True); sys.stdin.read()"

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	struct stat st;

	assert_true(in >= 0 && out >= 0 && !fstat(in, &st));
	while (sendfile(out, in, NULL, st.st_size) > 0)
		;
	close(in);
	close(out);
}

static void names_are_no_evidence(void **state)
{
	char dir[] = "/tmp/scan XXXXXX", as_cat[64], as_python[64];
	struct py_scan *s = py_scan__new();
	struct child c;

	(void)state;
	if (access(PYTHON, X_OK))
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(as_cat, sizeof(as_cat), "%s/cat", dir);
	snprintf(as_python, sizeof(as_python), "%s/python3", dir);
	copy_file(PYTHON, as_cat);
	copy_file("/bin/sh", as_python);

	c = start(as_cat, WAIT_PY);
	assert_int_equal(py_scan__is_python(s, c.pid), 1);
	unlink(as_cat);
	assert_int_equal(py_scan__is_python(s, c.pid), 1);
	stop(c);
	c = start(as_python, "echo; read x; :");
	assert_int_equal(py_scan__is_python(s, c.pid), 0);
	stop(c);
	unlink(as_python);
	rmdir(dir);
	py_scan__free(s);
}

static void a_file_is_opened_once(void **state)
{
	struct py_scan *s = py_scan__new();
	struct child c[3];
	size_t files = 0;

	(void)state;
	if (access(PYTHON, X_OK))
		skip();
	for (int i = 0; i < 3; i++) {
		c[i] = start(PYTHON, WAIT_PY);
		assert_int_equal(py_scan__is_python(s, c[i].pid), 1);
		assert_true(!i || py_scan__files(s) == files);
		files = py_scan__files(s);
	}
	for (int i = 0; i < 3; i++)
		stop(c[i]);
	assert_int_equal(py_scan__is_python(s, getpid()), 0);
	assert_int_equal(py_scan__is_python(s, c[0].pid), -ESRCH);
	py_scan__free(s);
	py_scan__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_no_evidence),
		cmocka_unit_test(a_file_is_opened_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
