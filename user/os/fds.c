// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"

#define FD_MAX 65536

void fds__close_all_but(int fd)
{
	if (fd > 0)
		syscall(SYS_close_range, 0, fd - 1, 0);
	if (syscall(SYS_close_range, fd + 1, ~0U, 0)) /* before 5.9 */
		for (int i = 0; i < FD_MAX; i++)
			if (i != fd)
				close(i);
}

int fds__read_at(int fd, uint64_t off, void *out, size_t size)
{
	char *to = out;
	ssize_t n;

	if (off > INT64_MAX || size > INT64_MAX - off)
		return -ENODATA;
	while (size) {
		n = pread(fd, to, size, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		to += n;
		off += n;
		size -= n;
	}
	return 0;
}
