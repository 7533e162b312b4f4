/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef LIBBPF_ENV_H
#define LIBBPF_ENV_H

/* Before anything is loaded: libbpf's messages go to our log, and what old kernels lock for maps is not limited. */
void libbpf_env__set(void);

#endif
