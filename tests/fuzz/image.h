/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A real interpreter's memory in a file (record.c), and a process made of it that lies: at the Nth read it answers something else, once or from
 * then on. So it is also one that changes while it is read.
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdbool.h>

#include "input.h"
#include "procfs.h"
#include "python.h"

#define IMAGE_MAGIC "pyleak-image-1"

enum {
	IMAGE_REGIONS_MAX = 1024,
	IMAGE_NAME_BYTES = 32,
	IMAGE_LIES_MAX = 64,
	IMAGE_READS_MAX = 1 << 20, /* many times as many as an honest image needs: more are a hang */
};

struct image_region {
	uint64_t start, end;
	uint64_t file_off; /* of what is there; UINT64_MAX: only its place was recorded */
	bool r, w, x, anonymous;
	char name[IMAGE_NAME_BYTES];
};

/* What the file begins with: good only for the build that wrote it. */
struct image_header {
	char magic[sizeof(IMAGE_MAGIC)];
	uint32_t region_cnt;
	struct py_interp py; /* pointers in it mean nothing */
	struct proc_status status;
	struct image_region regions[IMAGE_REGIONS_MAX];
};

struct image {
	const struct image_header *header;
	const uint8_t *bytes; /* the whole file */
	struct elf_file *elf;
	size_t word_cnt; /* of all regions */
};

/* Ends the program with a message if the file is not there or of another build. */
void image__load(struct image *image, const char *path);

enum lie_kind { LIE_BYTES, LIE_POINTER, LIE_NUMBER, LIE_COPY, LIE_HOLE, LIE_END, LIE_KINDS };

struct lie {
	uint64_t read_nr, addr;
	enum lie_kind kind;
	bool lasting;
	uint32_t off;
	uint8_t bytes[8], size;
};

/* The source that a struct remote reads from, by its IMAGE. */
struct liar {
	const struct image *image;
	struct lie lies[IMAGE_LIES_MAX]; /* by read_nr */
	size_t lie_cnt, told_cnt;
	uint64_t reads;
	bool ended;
};

/* Reads the lies from the input. */
void liar__init(struct liar *l, const struct image *image, struct input *in);
/* The interpreter in this process; L must outlive it. */
void liar__interp(struct liar *l, struct py_interp *py);
/* An address in the image. */
uint64_t image__address(const struct image *image, uint64_t word);

#endif
