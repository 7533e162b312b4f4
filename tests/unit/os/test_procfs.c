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

enum { STACK_BYTES = 8 << 20, TOUCHED_BYTES = 4 << 20, GUARD_BYTES = 4096 };

/* What is touched is where it belongs: plain memory, memory behind a guard as a thread's stack is, a file. */
static void memory_by_kind(void **state)
{
	struct proc_memory before, m;
	char *plain, *stack, *shared;

	(void)state;
	assert_int_equal(procfs__memory(getpid(), &before), 0);
	assert_int_equal(before.anon_bytes + before.stack_bytes + before.file_bytes, before.rss_bytes);
	assert_true(before.stack_bytes > 0 && before.file_bytes > 0);
	/* in the middle, so that it is no neighbour of anything */
	plain = mmap(NULL, 3 * STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	stack = mmap(NULL, 3 * STACK_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	shared = mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(plain != MAP_FAILED && stack != MAP_FAILED && shared != MAP_FAILED);
	plain += STACK_BYTES;
	stack += STACK_BYTES;
	assert_int_equal(mprotect(plain, STACK_BYTES, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(stack, GUARD_BYTES, PROT_NONE), 0);
	memset(plain, 1, TOUCHED_BYTES);
	memset(stack + GUARD_BYTES, 1, 2 * TOUCHED_BYTES - GUARD_BYTES);
	memset(shared, 1, TOUCHED_BYTES);
	assert_int_equal(procfs__memory(getpid(), &m), 0);
	assert_int_equal(m.anon_bytes + m.stack_bytes + m.file_bytes, m.rss_bytes);
	assert_in_range(m.anon_bytes - before.anon_bytes, TOUCHED_BYTES - (1 << 20), TOUCHED_BYTES + (1 << 20));
	assert_in_range(m.stack_bytes - before.stack_bytes, 2 * TOUCHED_BYTES - (1 << 20), 2 * TOUCHED_BYTES + (1 << 20));
	assert_in_range(m.file_bytes - before.file_bytes, TOUCHED_BYTES - (1 << 20), TOUCHED_BYTES + (1 << 20));
	munmap(plain - STACK_BYTES, 3 * STACK_BYTES);
	munmap(stack - STACK_BYTES, 3 * STACK_BYTES);
	munmap(shared, TOUCHED_BYTES);
}

static void who_has_run(void **state)
{
	uint64_t before, after, again;
	int hold[2], ready[2];
	char c = 0;
	pid_t pid;

	(void)state;
	if (procfs__run_ns(getpid(), &before) == -ENOENT)
		skip();
	assert_int_equal(pipe(hold) + pipe(ready), 0);
	pid = fork();
	if (!pid) {
		close(hold[1]);
		for (volatile int i = 0; i < 1000000; i++)
			;
		if (write(ready[1], &c, 1) != 1 || read(hold[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	/* until it waits */
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(procfs__run_ns(pid, &before), 0);
		usleep(20000);
		assert_int_equal(procfs__run_ns(pid, &again), 0);
		if (before == again)
			break;
	}
	assert_int_equal(again, before);
	assert_true(before > 0);
	close(hold[1]);
	waitpid(pid, NULL, 0);
	assert_int_equal(procfs__run_ns(pid, &after), -ESRCH);
	close(hold[0]);
	close(ready[0]);
	close(ready[1]);
}

static void how_often_it_has_waited(void **state)
{
	uint64_t before, after;
	int hold[2], answer[2];
	char c = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(hold) + pipe(answer), 0);
	pid = fork();
	if (!pid) {
		close(hold[1]);
		while (read(hold[0], &c, 1) == 1)
			if (write(answer[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(procfs__waits(pid, &before), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(hold[1], &c, 1) + read(answer[0], &c, 1), 2);
	assert_int_equal(procfs__waits(pid, &after), 0);
	/* it may be faster than we are, now and then */
	assert_in_range(after - before, 10, 1000);
	close(hold[1]);
	waitpid(pid, NULL, 0);
	assert_int_equal(procfs__waits(pid, &after), -ESRCH);
	close(hold[0]);
	close(answer[0]);
	close(answer[1]);
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
		cmocka_unit_test(memory_by_kind),
		cmocka_unit_test(who_has_run),
		cmocka_unit_test(how_often_it_has_waited),
		cmocka_unit_test(a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
