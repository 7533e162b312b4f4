// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"
#include "layout.h"

static uint64_t region_bytes(const struct image_region *r)
{
	return r->file_off == UINT64_MAX ? 0 : r->end - r->start;
}

static void fail(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s\n", path, why);
	exit(1);
}

void image__load(struct image *image, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(*image->header))
		fail(path, "no image: make fuzz-targets records one");
	image->bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (image->bytes == MAP_FAILED)
		fail(path, "cannot be mapped");
	image->header = (const void *)image->bytes;
	if (memcmp(image->header->magic, IMAGE_MAGIC, sizeof(IMAGE_MAGIC)) != 0 || image->header->region_cnt > IMAGE_REGIONS_MAX)
		fail(path, "not an image of this build");
	if (elf_file__open(image->header->py.module_path, &image->elf))
		fail(image->header->py.module_path, "the interpreter of the image cannot be opened");
	image->word_cnt = 0;
	for (uint32_t i = 0; i < image->header->region_cnt; i++)
		image->word_cnt += region_bytes(&image->header->regions[i]) / 8;
	if (!image->word_cnt)
		fail(path, "nothing in it");
}

uint64_t image__address(const struct image *image, uint64_t word)
{
	word %= image->word_cnt;
	for (uint32_t i = 0; i < image->header->region_cnt; i++) {
		const struct image_region *r = &image->header->regions[i];

		if (word < region_bytes(r) / 8)
			return r->start + word * 8;
		word -= region_bytes(r) / 8;
	}
	return 0;
}

/* Regions that are neighbours are read as one. */
static int read_image(const struct image *image, uint64_t addr, uint8_t *out, uint64_t size)
{
	for (uint32_t i = 0; i < image->header->region_cnt && size; i++) {
		const struct image_region *r = &image->header->regions[i];
		uint64_t n = r->end - addr < size ? r->end - addr : size;

		if (addr < r->start || addr >= r->end)
			continue;
		if (!region_bytes(r))
			return -EFAULT;
		memcpy(out, image->bytes + r->file_off + (addr - r->start), n);
		addr += n;
		out += n;
		size -= n;
	}
	return size ? -EFAULT : 0;
}

static void overlay(const struct lie *lie, uint64_t addr, uint8_t *out, uint64_t size)
{
	for (uint32_t i = 0; i < lie->size; i++)
		if (lie->addr + i - addr < size)
			out[lie->addr + i - addr] = lie->bytes[i];
}

/* The lie's place is known only now: it is in what is read. */
static int tell(struct liar *l, struct lie *lie, uint64_t addr, uint8_t *out, uint64_t size)
{
	lie->addr = addr + lie->off % size;
	if (lie->kind != LIE_BYTES)
		lie->addr &= ~7ULL;
	switch (lie->kind) {
	case LIE_HOLE:
		return -EFAULT;
	case LIE_END:
		l->ended = true;
		return -ESRCH;
	default:
		overlay(lie, addr, out, size);
		return 0;
	}
}

static int liar__read(const struct remote *r, uint64_t addr, void *out, size_t size)
{
	struct liar *l = (struct liar *)r->image;
	int err;

	must(++l->reads < IMAGE_READS_MAX);
	if (!size)
		return 0;
	err = l->ended ? -ESRCH : read_image(l->image, addr, out, size);
	for (size_t i = 0; i < l->told_cnt && !err; i++)
		if (l->lies[i].lasting)
			overlay(&l->lies[i], addr, out, size);
	for (; l->told_cnt < l->lie_cnt && l->lies[l->told_cnt].read_nr <= l->reads && !err; l->told_cnt++)
		err = tell(l, &l->lies[l->told_cnt], addr, out, size);
	return err;
}

static void read_lie(struct liar *l, struct lie *lie, struct input *in, uint64_t after)
{
	uint8_t kind = input__number(in, 1);
	uint64_t value;

	lie->read_nr = after + input__number(in, kind & 0x40 ? 2 : 1);
	lie->kind = kind % 16 < LIE_KINDS ? kind % 16 : LIE_BYTES;
	lie->lasting = kind & 0x80;
	lie->off = input__number(in, kind & 0x20 ? 3 : 1);
	lie->size = 8;
	switch (lie->kind) {
	case LIE_BYTES:
		lie->size = 1 + (kind >> 2) % 8;
		value = input__number(in, lie->size);
		break;
	case LIE_POINTER:
		value = image__address(l->image, input__number(in, 3)) + (int8_t)input__number(in, 1);
		break;
	case LIE_NUMBER:
		value = (int8_t)input__number(in, 1);
		value <<= input__number(in, 1) % 64;
		break;
	case LIE_COPY:
		if (read_image(l->image, image__address(l->image, input__number(in, 3)), (uint8_t *)&value, 8))
			value = 0;
		break;
	default:
		value = 0;
		lie->size = 0;
		break;
	}
	memcpy(lie->bytes, &value, sizeof(lie->bytes));
}

void liar__init(struct liar *l, const struct image *image, struct input *in)
{
	uint64_t after = 0;

	*l = (struct liar){ .image = image };
	for (; in->left && l->lie_cnt < IMAGE_LIES_MAX; l->lie_cnt++) {
		read_lie(l, &l->lies[l->lie_cnt], in, after);
		after = l->lies[l->lie_cnt].read_nr;
	}
}

void liar__interp(struct liar *l, struct py_interp *py)
{
	*py = l->image->header->py;
	py->elf = l->image->elf;
	py->layout = py_layout__find_patch(py->major, py->minor, py->patch);
	py->mem = (struct remote){ .read = liar__read, .image = l };
}
