/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of another process. Reads never stop it. A source can also be a core file, or an image in memory, so that all
 * that decodes foreign memory can be tested on bytes (and fuzzed).
 */
#ifndef REMOTE_H
#define REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct core_file;

struct remote {
	/* All of [addr, addr+size) into OUT, or -EFAULT (not mapped), -ESRCH (gone), -EPERM. Never partial. */
	int (*read)(const struct remote *r, uint64_t addr, void *out, size_t size);
	pid_t pid;         /* live process: read with process_vm_readv */
	const void *image; /* image source: IMAGE_SIZE bytes seen at IMAGE_ADDR */
	uint64_t image_addr;
	size_t image_size;
	struct core_file *core; /* core source: core_file.h */
};

struct remote remote__process(pid_t pid);
struct remote remote__image(const void *image, size_t size, uint64_t addr);

int remote__read(const struct remote *r, uint64_t addr, void *out, size_t size);
int remote__read_u64(const struct remote *r, uint64_t addr, uint64_t *out);

/* Many small reads in few system calls; OK[i] says whether item i came. Returns 0 or -ESRCH/-EPERM. */
struct remote_item {
	uint64_t addr;
	void *out;
	uint32_t size;
	uint32_t ok;
};
int remote__read_many(const struct remote *r, struct remote_item *items, size_t cnt);

#endif
