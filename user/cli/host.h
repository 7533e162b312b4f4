/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What must be there before any process is looked at, whatever container we run in ourselves. */
#ifndef HOST_H
#define HOST_H

/* EXIT_FINE, or an enum exit_code: what is wrong was said. */
int host__check(void);
/* What most likely is missing when the kernel would not load or attach: a sentence, or NULL. */
const char *host__missing(void);

#endif
