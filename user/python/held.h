/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Garbage that the collector has not come to yet, told from what is in use, from outside: objects that only hold each other.
 *
 * From each block the way leads back through all that points to it, as Modules/gcmodule.c's subtract_refs() goes forward. It ends well where
 * a block that was there at the first reading points to it, or where an object has more references than were found in the heap: someone else has
 * one, a C variable, a thread's frame or a buffer of libc's. Weak references hold nothing. Any word that looks like a reference is taken for
 * one, so that what is garbage may be taken for held (by what a buffer still has of earlier uses), but what is held not for garbage.
 */
#ifndef HELD_H
#define HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;
struct py_interp;

/*
 * GARBAGE[i]: the live block that begins at BLOCKS[i] is held by nothing but what is as new as it is, and is held as little. Reads the heap some times
 * over. 0, -E2BIG: that is more than MAX_BYTES, -ENOMEM, or -ESRCH and the like.
 */
int heap__garbage(const struct heap *h, const struct py_interp *py, const uint64_t *blocks, size_t cnt, uint64_t max_bytes, bool *garbage);

#endif
