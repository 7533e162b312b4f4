// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ENTRIES = 4096, PAGE_BYTES = 4096 };

/* Documentation/admin-guide/mm/pagemap.rst; include/uapi/linux/fs.h from 6.7 on. */
#define ENTRY_PRESENT (1ULL << 63)
#define ENTRY_SWAPPED (1ULL << 62)
#define ENTRY_GUARD (1ULL << 58) /* 6.15+ */

#define CATEGORY_PRESENT (1ULL << 3)
#define CATEGORY_SWAPPED (1ULL << 4)
#define CATEGORY_ZERO (1ULL << 5)
#define CATEGORY_GUARD (1ULL << 8) /* 6.16+: MADV_GUARD_INSTALL, below each thread's stack with glibc 2.42 */

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

static bool can_scan(const struct pagemap *p, uint64_t unwanted)
{
	struct scan_arg nothing = { .size = sizeof(nothing), .category_inverted = unwanted, .category_mask = unwanted };

	return !ioctl(p->fd, SCAN_IOCTL, &nothing);
}

static int why_not(pid_t pid, int err)
{
	char path[64];

	if (err == EACCES)
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return err == ENOENT && access(path, F_OK) ? -ESRCH : -err;
}

int pagemap__open(struct pagemap *p, pid_t pid)
{
	char path[64];

	*p = (struct pagemap){ .fd = -1 };
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		return why_not(pid, errno);
	p->unwanted = CATEGORY_ZERO | CATEGORY_GUARD;
	p->scan = can_scan(p, p->unwanted);
	if (!p->scan) {
		p->unwanted = CATEGORY_ZERO;
		p->scan = can_scan(p, p->unwanted);
	}
	return 0;
}

void pagemap__of_list(struct pagemap *p, const struct page_range *list, size_t cnt)
{
	*p = (struct pagemap){ .fd = -1, .scan = true, .listed = true, .list = list, .list_cnt = cnt };
}

void pagemap__close(struct pagemap *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void pagemap__look_at(struct pagemap *p, uint64_t start, uint64_t end)
{
	p->at = start;
	p->end = end;
	p->cnt = p->next = 0;
}

static int fill_by_scan(struct pagemap *p)
{
	struct scan_region found[PAGEMAP_RANGES];
	struct scan_arg arg = {
		.size = sizeof(arg), .start = p->at, .end = p->end, .vec = (uintptr_t)found, .vec_len = PAGEMAP_RANGES,
		.category_inverted = p->unwanted, .category_mask = p->unwanted,
		.category_anyof_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED,
		.return_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED,
	};
	int cnt = ioctl(p->fd, SCAN_IOCTL, &arg);

	if (cnt < 0)
		return -errno;
	for (int i = 0; i < cnt; i++)
		p->ranges[i] = (struct page_range){ found[i].start, found[i].end, !(found[i].categories & CATEGORY_PRESENT) };
	p->cnt = cnt;
	p->at = arg.walk_end > p->at ? arg.walk_end : p->end;
	return 0;
}

static void append(struct pagemap *p, uint64_t addr, bool swapped)
{
	struct page_range *last = p->cnt ? &p->ranges[p->cnt - 1] : NULL;

	if (last && last->end == addr && last->swapped == swapped)
		last->end += PAGE_BYTES;
	else
		p->ranges[p->cnt++] = (struct page_range){ addr, addr + PAGE_BYTES, swapped };
}

static int fill_by_entries(struct pagemap *p)
{
	uint64_t entries[ENTRIES], left = (p->end - p->at) / PAGE_BYTES;
	ssize_t n = pread(p->fd, entries, (left < ENTRIES ? left : ENTRIES) * sizeof(entries[0]), p->at / PAGE_BYTES * 8);

	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(entries[0])) {
		p->at = p->end;
		return 0;
	}
	for (size_t i = 0; i < n / sizeof(entries[0]) && p->cnt < PAGEMAP_RANGES; i++, p->at += PAGE_BYTES)
		if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED) && !(entries[i] & ENTRY_GUARD))
			append(p, p->at, !(entries[i] & ENTRY_PRESENT));
	return 0;
}

static size_t first_range_behind(const struct pagemap *p, uint64_t addr)
{
	size_t low = 0, high = p->list_cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (p->list[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void fill_by_list(struct pagemap *p)
{
	size_t i = first_range_behind(p, p->at);

	for (; i < p->list_cnt && p->list[i].start < p->end && p->cnt < PAGEMAP_RANGES; i++) {
		struct page_range *r = &p->ranges[p->cnt++];

		*r = p->list[i];
		r->start = r->start < p->at ? p->at : r->start;
		r->end = r->end > p->end ? p->end : r->end;
	}
	p->at = p->cnt == PAGEMAP_RANGES ? p->ranges[p->cnt - 1].end : p->end;
}

int pagemap__next(struct pagemap *p, struct page_range *out)
{
	int err;

	while (p->next == p->cnt) {
		if (p->at >= p->end)
			return 0;
		p->cnt = p->next = 0;
		if (p->listed) {
			fill_by_list(p);
			continue;
		}
		err = p->scan ? fill_by_scan(p) : fill_by_entries(p);
		if (err)
			return err;
	}
	*out = p->ranges[p->next++];
	return 1;
}
