// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

/*
 * Only mappings of files have pages that are not there. The instruction runs again after this, and finds zeros; or, if that failed or it was
 * something else (memory that is broken), dies of the signal.
 */
static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE_BYTES - 1));
	int saved_errno = errno;

	(void)context;
	if (info->si_code != BUS_ADRERR ||
	    mmap(page, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		signal(signo, SIG_DFL);
	errno = saved_errno;
}

int sigbus__survive(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}
