// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "remote.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum { BATCH_CNT = 64 };

static int image__read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	uint64_t off = addr - r->image_addr;

	if (addr < r->image_addr || off > r->image_size || size > r->image_size - off)
		return -EFAULT;
	memcpy(out, (const char *)r->image + off, size);
	return 0;
}

static int process__read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	struct iovec local = { .iov_base = out, .iov_len = size };
	struct iovec foreign = { .iov_base = (void *)(uintptr_t)addr, .iov_len = size };
	ssize_t n;

	if (!size)
		return 0;
	/* A range that wraps, or lies in the kernel's half, would be -EINVAL for some sizes. */
	if (addr + size < addr || addr + size > 1ULL << 63 || size > 1UL << 30)
		return -EFAULT;
	n = process_vm_readv(r->pid, &local, 1, &foreign, 1, 0);
	if (n < 0)
		return errno == ESRCH || errno == EPERM ? -errno : -EFAULT;
	return (size_t)n == size ? 0 : -EFAULT;
}

struct remote remote__process(pid_t pid)
{
	return (struct remote){ .read = process__read, .pid = pid };
}

struct remote remote__image(const void *image, size_t size, uint64_t addr)
{
	return (struct remote){ .read = image__read, .image = image, .image_size = size, .image_addr = addr };
}

int remote__read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	return r->read(r, addr, out, size);
}

int remote__read_u64(const struct remote *r, uint64_t addr, uint64_t *out)
{
	return r->read(r, addr, out, sizeof(*out));
}

static int read_one(const struct remote *r, struct remote_item *item)
{
	int err = r->read(r, item->addr, item->out, item->size);

	item->ok = !err;
	return err == -EFAULT ? 0 : err;
}

/* Reads items until the first one that cannot be had; *DONE says how many came. */
static int read_batch(const struct remote *r, struct remote_item *items, size_t cnt, size_t *done)
{
	struct iovec local[BATCH_CNT] = { 0 }, foreign[BATCH_CNT] = { 0 };
	size_t left;
	ssize_t n;

	for (size_t i = 0; i < cnt; i++) {
		local[i] = (struct iovec){ items[i].out, items[i].size };
		foreign[i] = (struct iovec){ (void *)(uintptr_t)items[i].addr, items[i].size };
	}
	n = process_vm_readv(r->pid, local, cnt, foreign, cnt, 0);
	if (n < 0 && (errno == ESRCH || errno == EPERM))
		return -errno;
	left = n < 0 ? 0 : n;
	for (*done = 0; *done < cnt && items[*done].size <= left; (*done)++) {
		left -= items[*done].size;
		items[*done].ok = 1;
	}
	return 0;
}

int remote__read_many(const struct remote *r, struct remote_item *items, size_t cnt)
{
	size_t i = 0, done;
	int err;

	while (i < cnt) {
		done = 0;
		if (r->read == process__read && cnt - i > 1) {
			err = read_batch(r, items + i, cnt - i < BATCH_CNT ? cnt - i : BATCH_CNT, &done);
			if (err)
				return err;
			i += done;
			/* A full batch came: nothing to find out about its end. */
			if (done == BATCH_CNT || i == cnt)
				continue;
		}
		err = read_one(r, &items[i++]);
		if (err)
			return err;
	}
	return 0;
}
