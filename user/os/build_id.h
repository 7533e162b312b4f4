/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is an ELF file that which was mapped? Told by its first page. */
#ifndef BUILD_ID_H
#define BUILD_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUILD_ID_PAGE_BYTES = 4096, BUILD_ID_MAX_BYTES = 64 };

struct build_id {
	uint8_t bytes[BUILD_ID_MAX_BYTES];
	size_t len; /* 0: it has none, or none in its first page */
};

/* PAGE: BUILD_ID_PAGE_BYTES, hostile. false: this begins no program or library for x86-64. */
bool build_id__of(const void *page, struct build_id *out);
/* By their build ids; where one has none, by the whole page. Both begin a program or library. */
bool build_id__same(const void *page, const void *other_page);

#endif
