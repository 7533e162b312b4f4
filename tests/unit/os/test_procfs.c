// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "procfs.h"

static void maps_of_this_process(void **state)
{
	const struct proc_map *map;
	struct proc_maps maps;
	char exe[4096];

	(void)state;
	assert_int_equal(procfs__maps(getpid(), &maps), 0);
	map = proc_maps__find(&maps, (uintptr_t)maps_of_this_process);
	assert_non_null(map);
	assert_true(map->r && map->x && !map->w && map->inode && !map->deleted);
	assert_int_equal(procfs__exe(getpid(), exe, sizeof(exe)), 0);
	assert_string_equal(map->path, exe);
	map = proc_maps__find(&maps, (uintptr_t)&map);
	assert_non_null(map);
	assert_string_equal(map->path, "[stack]");
	assert_int_equal(map->inode, 0);
	assert_null(proc_maps__find(&maps, 0));
	assert_null(proc_maps__find(&maps, UINT64_MAX));
	proc_maps__free(&maps);
	proc_maps__free(&maps);
}

/* Maps a file with an awkward name, and takes its name away when DELETED. */
static void *map_odd_file(char *path, bool deleted)
{
	char bytes[4096] = "content";
	void *at;
	int fd;

	strcpy(path, "/tmp/odd (deleted) name XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(at != MAP_FAILED);
	close(fd);
	if (deleted)
		unlink(path);
	return at;
}

static void check_open_path(bool deleted)
{
	char path[64], open_path[4096], content[8] = "";
	void *at = map_odd_file(path, deleted);
	const struct proc_map *map;
	struct proc_maps maps;
	int err, fd;

	assert_int_equal(procfs__maps(getpid(), &maps), 0);
	map = proc_maps__find(&maps, (uintptr_t)at);
	assert_non_null(map);
	assert_string_equal(map->path, path);
	assert_int_equal(map->deleted, deleted);
	err = procfs__open_path(getpid(), map, open_path, sizeof(open_path));
	/* Without the right to use map_files a deleted file is out of reach. */
	if (err) {
		assert_true(deleted && err == -ENOENT);
	} else {
		fd = open(open_path, O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(read(fd, content, 7), 7);
		assert_string_equal(content, "content");
		close(fd);
	}
	assert_int_equal(procfs__open_path(getpid(), map, open_path, 5), -ENAMETOOLONG);
	proc_maps__free(&maps);
	munmap(at, 4096);
	unlink(path);
}

static void a_file_with_an_odd_name_can_be_opened(void **state)
{
	(void)state;
	check_open_path(false);
}

static void a_deleted_file_can_be_opened(void **state)
{
	(void)state;
	check_open_path(true);
}

static void status_of_this_process(void **state)
{
	struct proc_status st, again;
	volatile unsigned long spin = 0;

	(void)state;
	prctl(PR_SET_NAME, "a) R (b\n1 2");
	assert_int_equal(procfs__status(getpid(), &st), 0);
	assert_string_equal(st.comm, "a) R (b\n1 2");
	assert_int_equal(st.state, 'R');
	assert_int_equal(st.threads, 1);
	assert_int_equal(st.ns_pid, getpid());
	assert_int_equal(st.uid, getuid());
	assert_true(st.rss_bytes > 100000 && st.peak_rss_bytes >= st.rss_bytes / 2);
	assert_true(st.start_ticks > 0);
	do {
		spin++;
		assert_int_equal(procfs__status(getpid(), &again), 0);
	} while (again.cpu_ns < st.cpu_ns + 20000000);
	assert_true(again.start_ticks == st.start_ticks);
}

static void cmdline_is_joined(void **state)
{
	char cmdline[200], byte;
	int ready[2], hold[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	if (!pid) {
		dup2(ready[1], 1);
		dup2(hold[0], 0);
		close(hold[1]);
		execl("/bin/sh", "sh", "-c", "echo; read x; :", "two words", "", NULL);
		_exit(1);
	}
	close(hold[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(procfs__cmdline(pid, cmdline, sizeof(cmdline)), 0);
	assert_string_equal(cmdline, "sh -c echo; read x; : two words");
	assert_int_equal(procfs__cmdline(pid, cmdline, 6), 0);
	assert_string_equal(cmdline, "sh -c");
	close(hold[1]);
	waitpid(pid, NULL, 0);
}

static void a_process_that_is_gone(void **state)
{
	struct proc_status st;
	struct proc_maps maps;
	char text[64];
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	/* A zombie has a status, but no memory. */
	assert_int_equal(waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(procfs__status(pid, &st), 0);
	assert_int_equal(st.state, 'Z');
	assert_int_equal(st.rss_bytes, 0);
	assert_int_equal(procfs__maps(pid, &maps), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(procfs__status(pid, &st), -ESRCH);
	assert_int_equal(procfs__maps(pid, &maps), -ESRCH);
	assert_int_equal(procfs__exe(pid, text, sizeof(text)), -ESRCH);
	assert_int_equal(procfs__cmdline(pid, text, sizeof(text)), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_of_this_process),
		cmocka_unit_test(a_file_with_an_odd_name_can_be_opened),
		cmocka_unit_test(a_deleted_file_can_be_opened),
		cmocka_unit_test(status_of_this_process),
		cmocka_unit_test(cmdline_is_joined),
		cmocka_unit_test(a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
