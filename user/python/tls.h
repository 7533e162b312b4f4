/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a thread keeps the PyThreadState that it runs in (3.12+: _Py_tss_tstate in Python/pystate.c, thread-local). */
#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <stdint.h>

#include "python.h"

/*
 * How a function that returns a thread-local variable and does nothing else finds it, from its first bytes. The variable itself has no
 * exported name. Pure.
 */
enum tls_model {
	TLS_UNKNOWN,
	TLS_OFFSET, /* value is its offset from the FS base: in the executable */
	TLS_WORD,   /* at distance value from the function there is a word with that offset */
	TLS_INDEX,  /* there are two words, the module's number and the offset in its block: what __tls_get_addr() is given */
};
struct tls_access {
	enum tls_model model;
	int64_t value;
	int32_t addend; /* TLS_INDEX: to that offset */
};
struct tls_access tls__decode(const uint8_t *code, size_t size);

/*
 * From the FS base of any thread of this interpreter, THREAD being that of one. 0: not known. That goes for libraries that were loaded later than
 * the program started, too: their variables are in another place for each thread.
 */
int64_t tls__current_tstate(const struct py_interp *py, uint64_t thread);

#endif
