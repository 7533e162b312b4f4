// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An extension that puts its own functions in front of the allocator, as memray and others do; the same three for each domain. */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

typedef struct {
	void *ctx;
	void *(*malloc)(void *ctx, size_t size);
	void *(*calloc)(void *ctx, size_t cnt, size_t size);
	void *(*realloc)(void *ctx, void *p, size_t size);
	void (*free)(void *ctx, void *p);
} PyMemAllocatorEx;

void PyMem_GetAllocator(int domain, PyMemAllocatorEx *a);
void PyMem_SetAllocator(int domain, PyMemAllocatorEx *a);
void *PyMem_RawMalloc(size_t size);
void PyMem_RawFree(void *p);

static PyMemAllocatorEx inner[3];
static size_t calls;

static void note(void)
{
	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void *hook_malloc(void *ctx, size_t size)
{
	PyMemAllocatorEx *a = ctx;

	note();
	return a->malloc(a->ctx, size);
}

static void *hook_calloc(void *ctx, size_t cnt, size_t size)
{
	PyMemAllocatorEx *a = ctx;

	note();
	return a->calloc(a->ctx, cnt, size);
}

static void *hook_realloc(void *ctx, void *p, size_t size)
{
	PyMemAllocatorEx *a = ctx;

	note();
	return a->realloc(a->ctx, p, size);
}

static void hook_free(void *ctx, void *p)
{
	PyMemAllocatorEx *a = ctx;

	a->free(a->ctx, p);
}

/* With memory of its own, in the middle of a call. */
static void *nesting_malloc(void *ctx, size_t size)
{
	PyMemAllocatorEx *a = ctx;
	void *scratch = PyMem_RawMalloc(48), *p = a->malloc(a->ctx, size);

	note();
	PyMem_RawFree(scratch);
	return p;
}

/* FIRST 0: all domains; 1: those under the GIL, which then also use the raw one inside of their calls. */
void hook_install(int first)
{
	for (int domain = first; domain < 3; domain++) {
		PyMemAllocatorEx a = { &inner[domain], first ? nesting_malloc : hook_malloc, hook_calloc, hook_realloc, hook_free };

		PyMem_GetAllocator(domain, &inner[domain]);
		PyMem_SetAllocator(domain, &a);
	}
}

/* "mov $FN,%rax; jmp *%rax" at P */
static void *thunk(unsigned char *p, void *fn)
{
	memcpy(p, "\x48\xb8", 2);
	memcpy(p + 2, &fn, sizeof(fn));
	memcpy(p + 10, "\xff\xe0", 2);
	return p;
}

/* Through code in memory that is no file, as callbacks of ctypes are. */
void hook_install_thunks(void)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int domain = 1; domain < 3; domain++) {
		PyMemAllocatorEx a = { &inner[domain], thunk(code, hook_malloc), thunk(code + 32, hook_calloc), thunk(code + 64, hook_realloc),
				       thunk(code + 96, hook_free) };

		PyMem_GetAllocator(domain, &inner[domain]);
		PyMem_SetAllocator(domain, &a);
	}
}

void hook_remove(int first)
{
	for (int domain = first; domain < 3; domain++)
		PyMem_SetAllocator(domain, &inner[domain]);
}

size_t hook_calls(void)
{
	return calls;
}
