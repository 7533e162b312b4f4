/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files of targets are read through mappings (elf_file.h), and who owns one may cut it short meanwhile: a read behind its new end is a SIGBUS
 * (mm/filemap.c), which would end us.
 */
#ifndef SIGBUS_H
#define SIGBUS_H

/*
 * From now on such a page reads as zeros instead. For the whole process, once at its start; not for programs that it executes. 0 or -errno.
 */
int sigbus__survive(void);

#endif
